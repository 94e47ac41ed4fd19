#include <fmt/format.h>

#include "launcher/bench/bench_exchange.h"

namespace coe {
namespace {

void say(BenchReport& report, std::string_view name, std::string_view label, const ExchangeTimes& times) {
  report.text += fmt::format("  {:<22}{} ms dispatch, {} combine, {} both\n", label, text_of(times.dispatch_ms, 2),
                             text_of(times.combine_ms, 2), text_of(times.total_ms, 2));
  report.put(fmt::format("{}_dispatch_ms", name), times.dispatch_ms);
  report.put(fmt::format("{}_combine_ms", name), times.combine_ms);
  report.put(fmt::format("{}_ms", name), times.total_ms);
}

void compare(BenchReport& report, std::string_view name, std::string_view label, const ExchangeComparison& other) {
  report.text += fmt::format("  {:<22}{} dispatch, {} combine, {} both\n", label, text_of(other.dispatch, 2),
                             text_of(other.combine, 2), text_of(other.total, 2));
  report.put(fmt::format("{}_dispatch", name), other.dispatch);
  report.put(fmt::format("{}_combine", name), other.combine);
  report.put(name, other.total);
}

void say_bytes(BenchReport& report, const Benchmark& benchmark, const ExchangeBenchmarkResult& result) {
  const double rate = 1e-6 * result.bytes_copied / result.one_copy.total_ms.median;
  report.text += fmt::format(
      "  {:.2f} MB copied at {:.2f} GB/s by all ranks; {:.2f} MB of them between ranks, once per rank and token it "
      "would be {:.2f} MB\n",
      1e-6 * result.bytes_copied, rate, 1e-6 * result.bytes_sent, 1e-6 * result.bytes_counted.once_per_rank);
  report.numbers["bytes_copied"] = result.bytes_copied;
  report.numbers["copied_gb_per_s"] = rate;
  report.numbers["bytes_sent"] = result.bytes_sent;
  report.numbers["bytes_counted"] = result.bytes_counted.every_choice;
  report.numbers["bytes_once_per_rank"] = result.bytes_counted.once_per_rank;
  report.text += fmt::format("  {:.0f} messages by all ranks, there and back\n", result.messages_sent);
  report.numbers["messages_sent"] = result.messages_sent;
  report.text += fmt::format("  partial sums sent {:.2f} MB between ranks\n", 1e-6 * result.partial_sums_bytes_sent);
  report.numbers["partial_sums_bytes_sent"] = result.partial_sums_bytes_sent;
  if (benchmark.skew != 0) return;
  report.text += fmt::format("  by chance {:.2f} MB between ranks, once per rank and token {:.2f} MB\n",
                             1e-6 * result.bytes_expected.every_choice, 1e-6 * result.bytes_expected.once_per_rank);
  report.numbers["bytes_expected"] = result.bytes_expected.every_choice;
  report.numbers["bytes_once_per_rank_expected"] = result.bytes_expected.once_per_rank;
}

}  // namespace

BenchReport report_exchange(const Benchmark& benchmark, const ExchangeBenchmarkResult& result, int ranks) {
  BenchReport report = begin_report("exchange", benchmark, ranks);
  say(report, "one_copy", "one copy", result.one_copy);
  if (result.bound) {
    say(report, "copy_bound", "copy bound", result.bound->times);
    compare(report, "bound_fraction", "fraction of the bound", *result.bound);
  } else {
    report.text += "  no copy bound: not every rank can copy into every other's memory\n";
  }
  say(report, "reference", "reference", result.reference.times);
  compare(report, "reference_ratio", "reference / one copy", result.reference);
  say(report, "partial_sums", "partial sums", result.partial_sums.times);
  compare(report, "partial_sums_ratio", "partial / one copy", result.partial_sums);
  if (result.alltoallv) {
    say(report, "alltoallv", "MPI_Alltoallv", result.alltoallv->times);
    compare(report, "alltoallv_ratio", "Alltoallv / one copy", *result.alltoallv);
  }
  say_bytes(report, benchmark, result);
  return report;
}

}  // namespace coe
