#include "launcher/bench/bench_exchange.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/memory/random.h"
#include "launcher/bench/alltoallv_exchange.h"
#include "launcher/bench/cold_timer.h"
#include "launcher/bench/copy_bound.h"
#include "runtime/exchange/one_copy_exchange.h"
#include "runtime/exchange/partial_sums_exchange.h"
#include "runtime/exchange/reference_exchange.h"

namespace coe {
namespace {

constexpr Phase kPhase{"benchmark"};

/// Milliseconds of every step.
struct Series {
  std::vector<double> dispatch, combine, total;

  void add(double dispatch_seconds, double combine_seconds) {
    dispatch.push_back(1e3 * dispatch_seconds);
    combine.push_back(1e3 * combine_seconds);
    total.push_back(dispatch.back() + combine.back());
  }
  ExchangeTimes times() const { return {spread_of(dispatch), spread_of(combine), spread_of(total)}; }
  ExchangeComparison against(const Series& one_copy) const {
    return {times(), spread_of_ratio(dispatch, one_copy.dispatch), spread_of_ratio(combine, one_copy.combine),
            spread_of_ratio(total, one_copy.total)};
  }
};

class RandomExchange {
 public:
  RandomExchange(const Benchmark& benchmark, Transport& world)
      : group_{&world},
        placement_(benchmark.layer.experts, world.size()),
        routing_(random_routing(benchmark, world.rank(), inputs_)),
        plan_(plan_of(routing_, placement_, group_, inputs_)),
        x_(inputs_.make<float>({benchmark.tokens, benchmark.layer.hidden})),
        sum_(inputs_.zeros<float>(x_.shape())),
        timer_(group_) {
    if (CopyBound::reaches_all(group_)) bound_.emplace(group_, plan_, benchmark.layer.hidden);
    fill_normal(x_, {8, static_cast<std::uint64_t>(world.rank())}, 0, 1);
  }

  struct Sent {
    std::int64_t bytes = 0;
    std::uint64_t messages = 0;
  };
  /// Returns what this rank sent.
  Sent exchange(Exchange& exchange, Series& series) {
    const std::int64_t sent_before = exchange.bytes_sent();
    std::uint64_t messages = 0;
    const auto counting = [&](const auto& work) {
      const std::uint64_t before = group_.transport->messages_sent();
      work();
      messages += group_.transport->messages_sent() - before;
    };
    scratch_.reset();
    Flight flight;
    const double dispatch = timer_.time([&] {
      counting([&] { flight = exchange.begin(plan_, {.x = &x_, .weights = routing_.weight}, kPhase); });
      flight.arrived().get();
    });
    std::ranges::fill(flight.results().rows.span<float>(), 1.0F);
    const double combine = timer_.time([&] {
      counting([&] { flight.send_back(kPhase); });
      flight.combine({.sum = sum_}, {}).get();
    });
    series.add(dispatch, combine);
    return {exchange.bytes_sent() - sent_before, messages};
  }

  bool has_bound() const { return bound_.has_value(); }

  void copy(Series& series) {
    const auto faster = [&](const std::function<void()>& one, const std::function<void()>& other) {
      const double seconds = timer_.time(one);
      return std::min(seconds, timer_.time(other));
    };
    const double out = faster([&] { bound_->copy_out_of_tokens(x_); }, [&] { bound_->copy_out_packed(); });
    series.add(out, faster([&] { bound_->copy_back_to_choices(); }, [&] { bound_->copy_back_packed(); }));
  }

  /// Rows there and back, over all ranks, in bytes.
  void count(const Sent& sent, const Sent& by_partial_sums, ExchangeBenchmarkResult& result) const {
    const RowsElsewhere counted = count_rows_elsewhere(routing_, placement_, group_.rank());
    const RowsElsewhere expected =
        expected_rows_elsewhere(routing_.tokens(), routing_.choices() / routing_.tokens(), placement_, group_.rank());
    const double there_and_back = 2.0 * static_cast<double>(x_.extent(1)) * sizeof(float);
    std::array<double, 8> sums = {static_cast<double>(sent.bytes),
                                  there_and_back * static_cast<double>(plan_.rows_sent()),
                                  there_and_back * counted.every_choice,
                                  there_and_back * counted.once_per_rank,
                                  there_and_back * expected.every_choice,
                                  there_and_back * expected.once_per_rank,
                                  static_cast<double>(by_partial_sums.bytes),
                                  static_cast<double>(sent.messages)};
    all_reduce_sum<double>(group_, sums, kPhase);
    result.bytes_sent = sums[0];
    result.bytes_copied = sums[1];
    result.bytes_counted = {sums[2], sums[3]};
    result.bytes_expected = {sums[4], sums[5]};
    result.partial_sums_bytes_sent = sums[6];
    result.messages_sent = sums[7];
  }

  Group group() const { return group_; }

 private:
  Group group_;
  Placement placement_;
  Arena inputs_, scratch_;
  Routing routing_;
  DispatchPlan plan_;
  Tensor x_, sum_;
  std::optional<CopyBound> bound_;
  ColdTimer timer_;
};

}  // namespace

ExchangeBenchmarkResult bench_exchange(const Benchmark& benchmark, Transport& world) {
  RandomExchange traffic(benchmark, world);
  const std::int64_t hidden = benchmark.layer.hidden;
  OneCopyExchange one_copy(traffic.group(), hidden);
  ReferenceExchange reference(traffic.group(), hidden);
  const std::unique_ptr<Exchange> alltoallv = make_alltoallv_exchange(traffic.group(), hidden);
  PartialSumsExchange partial_sums(traffic.group(), hidden);
  Series fast, bound, slow, summed, plain;
  ExchangeBenchmarkResult result;
  for (int step = -benchmark.warmup_steps; step < benchmark.steps; ++step) {
    if (step == 0) fast = bound = slow = summed = plain = {};
    const RandomExchange::Sent sent = traffic.exchange(one_copy, fast), sums = traffic.exchange(partial_sums, summed);
    if (step == 0) traffic.count(sent, sums, result);
    if (traffic.has_bound()) traffic.copy(bound);
    traffic.exchange(reference, slow);
    if (alltoallv != nullptr) traffic.exchange(*alltoallv, plain);
  }
  result.one_copy = fast.times();
  if (traffic.has_bound()) result.bound = bound.against(fast);
  result.reference = slow.against(fast);
  result.partial_sums = summed.against(fast);
  if (alltoallv != nullptr) result.alltoallv = plain.against(fast);
  return result;
}

}  // namespace coe
