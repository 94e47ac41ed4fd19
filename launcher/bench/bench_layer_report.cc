#include <fmt/format.h>

#include "launcher/bench/bench_layer.h"

namespace coe {
namespace {

void say_demands(BenchReport& report, const LayerBenchmarkResult& result) {
  boost::json::value ours, large, small;  // null where nothing was counted
  if (result.allocations) {
    const auto& [by_us, large_ones, small_ones] = *result.allocations;
    ours = by_us, large = large_ones, small = small_ones;
    report.text += fmt::format(
        "  allocations       {} by this program, {} of 4 KiB or more and {} smaller by "
        "libraries, a step of all ranks\n",
        by_us, large_ones, small_ones);
  }
  report.text += fmt::format("  minor page faults {:.0f} a step of all ranks\n", result.minor_faults);
  report.text += fmt::format(
      "  memory            {:.2f} MiB more on all ranks after the third step than before the "
      "layer, windows once, {:.3f} of the size hint\n",
      static_cast<double>(result.memory_growth) / (1 << 20),
      static_cast<double>(result.memory_growth) / static_cast<double>(result.size_hint));
  report.numbers["our_allocations_per_step"] = ours;
  report.numbers["large_library_allocations_per_step"] = large;
  report.numbers["small_library_allocations_per_step"] = small;
  report.numbers["minor_faults_per_step"] = result.minor_faults;
  report.numbers["memory_growth_bytes"] = result.memory_growth;
  report.numbers["size_hint_bytes"] = result.size_hint;
}

void say_parts(BenchReport& report, const LayerBenchmarkResult& result) {
  boost::json::object parts;
  for (std::size_t i = 0; i < kPartNames.size(); ++i) {
    const double milliseconds = 1e3 * result.times.seconds[i];
    parts[kPartNames[i]] = milliseconds;
    if (milliseconds == 0) continue;
    report.text += fmt::format("  {:<17}{:10.2f} ms   {:4.1f} %\n", kPartNames[i], milliseconds,
                               100 * milliseconds / result.step_ms.median);
  }
  report.numbers["parts_ms"] = parts;
}

}  // namespace

BenchReport report_layer(const Benchmark& benchmark, const LayerBenchmarkResult& result, int ranks) {
  BenchReport report = begin_report("layer", benchmark, ranks);
  report.text += fmt::format("  step              {} ms\n", text_of(result.step_ms, 2));
  report.text += fmt::format("  experts' products {:.2f} GFLOP/s a rank, {:.3f} of the GEMM peak of {:.2f}\n",
                             result.gflops, result.peak_fraction, result.gemm_peak_gflops);
  report.text += fmt::format("  exchanged         {:.2f} MB a step between ranks\n",
                             1e-6 * static_cast<double>(result.bytes_exchanged));
  report.put("step_ms", result.step_ms);
  report.numbers["gflops"] = result.gflops;
  report.numbers["gemm_peak_gflops"] = result.gemm_peak_gflops;
  report.numbers["peak_fraction"] = result.peak_fraction;
  report.numbers["bytes_exchanged"] = result.bytes_exchanged;
  say_demands(report, result);
  say_parts(report, result);
  return report;
}

}  // namespace coe
