#include "launcher/bench_layer.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "comm/collectives.h"
#include "kernels/arena.h"
#include "kernels/random.h"
#include "launcher/allocation_counter.h"
#include "launcher/gemm_peak.h"
#include "runtime/chain_layer.h"
#include "runtime/model_parameters.h"
#include "runtime/one_copy_exchange.h"

namespace coe {
namespace {

constexpr Phase kPhase{"benchmark"};

/// Page faults of this process, served without I/O, since it started.
std::int64_t minor_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// What one step cost, over all ranks.
struct StepCost {
  double seconds = 0;
  double allocations = 0, minor_faults = 0, bytes = 0;
  PartTimes times;
};

/// A layer of random weights and its input.
class RandomLayer {
 public:
  RandomLayer(const LayerBenchmark& benchmark, Transport& world)
      : benchmark_(benchmark),
        groups_(world, 0, kDefaultDeadline),
        placement_(benchmark.layer.experts, world.size()),
        parameters_(chain_specs(benchmark.layer, "", mine()), true),
        exchange_(groups_.experts(), benchmark.layer.hidden, ChainLayer::exchange_slots(1, benchmark.layer.iterations),
                  ChainLayer::kInFlight),
        layer_(benchmark.layer, 0, {&groups_, &placement_, &exchange_, &times_},
               chain_weights(benchmark.layer, "", mine(), parameters_)),
        batch_(deal_batch(benchmark.tokens / benchmark.sequence * world.size(), benchmark.sequence, groups_)) {
    std::uint64_t stream = 0;
    for (const Parameter& parameter : parameters_.all()) {
      const auto inputs = static_cast<float>(parameter.value.extent(1));
      fill_normal(parameter.value, {7, ++stream + 1000U * static_cast<std::uint64_t>(world.rank())}, 0,
                  1 / std::sqrt(inputs));
    }
    share_gates();
    const Shape shape{batch_.tokens(), benchmark.layer.hidden};
    input_ = tokens_.make<float>(shape);
    upstream_ = tokens_.make<float>(shape);
    gradient_ = tokens_.make<float>(shape);
    fill_normal(input_, {8, static_cast<std::uint64_t>(world.rank())}, 0, 1);
    fill_normal(upstream_, {9, static_cast<std::uint64_t>(world.rank())}, 0, 1e-3F);
  }

  StepCost step() {
    arena_.reset();
    parameters_.zero_gradients();
    times_ = {};
    layer_.clear_counters();
    barrier(groups_.world(), kPhase);
    const std::int64_t allocations_before = allocations(), faults_before = minor_faults();
    const auto start = std::chrono::steady_clock::now();
    ChainSaved* saved = benchmark_.forward_only ? nullptr : &saved_;
    layer_.forward(input_, batch_, {}, saved, arena_);
    if (saved != nullptr) layer_.backward(upstream_, batch_, saved_, gradient_, arena_);
    barrier(groups_.world(), kPhase);
    StepCost cost;
    cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    cost.allocations = static_cast<double>(allocations() - allocations_before);
    cost.minor_faults = static_cast<double>(minor_faults() - faults_before);
    for (const IterationCounters& counters : layer_.counters()) cost.bytes += static_cast<double>(counters.bytes_sent);
    cost.times = times_;
    return over_ranks(cost);
  }

 private:
  Share mine() const { return placement_.experts_of(groups_.experts().rank()); }

  /// Replicated weights must be the same on every rank: rank 0's.
  void share_gates() {
    for (const Parameter& parameter : parameters_.all()) {
      if (!parameter.expert) broadcast(groups_.world(), {parameter.value.raw(), parameter.value.bytes()}, 0, kPhase);
    }
  }

  StepCost over_ranks(StepCost cost) const {
    const Group world = groups_.world();
    std::vector<double> sums = {cost.seconds, cost.allocations, cost.minor_faults, cost.bytes};
    sums.insert(sums.end(), cost.times.seconds.begin(), cost.times.seconds.end());
    all_reduce_sum<double>(world, sums, kPhase);
    StepCost result{sums[0] / world.size(), sums[1], sums[2], sums[3], {}};
    for (std::size_t i = 0; i < result.times.seconds.size(); ++i) result.times.seconds[i] = sums[i + 4] / world.size();
    return result;
  }

  LayerBenchmark benchmark_;
  RankGroups groups_;
  Placement placement_;
  Parameters parameters_;
  OneCopyExchange exchange_;
  PartTimes times_;
  ChainLayer layer_;
  Batch batch_;
  Arena tokens_, arena_;
  Tensor input_, upstream_, gradient_;
  ChainSaved saved_;
};

double median_of(const std::vector<StepCost>& costs, double StepCost::*value) {
  std::vector<double> values(costs.size());
  std::ranges::transform(costs, values.begin(), value);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double expert_flops(const LayerBenchmark& benchmark) {
  const LayerConfig& layer = benchmark.layer;
  const auto rows = static_cast<double>(benchmark.tokens * layer.top_k * layer.iterations);
  return (benchmark.forward_only ? 6.0 : 18.0) * rows * static_cast<double>(layer.hidden * layer.expert_hidden);
}

}  // namespace

LayerBenchmarkResult bench_layer(const LayerBenchmark& benchmark, Transport& world) {
  check(benchmark.tokens % benchmark.sequence == 0, "bench layer: --tokens is ", benchmark.tokens,
        ", must be a multiple of --sequence, ", benchmark.sequence);
  RandomLayer layer(benchmark, world);
  GemmPeak peak({&world});
  std::vector<StepCost> costs;
  for (int step = -benchmark.warmup_steps; step < benchmark.steps; ++step) {
    const StepCost cost = layer.step();
    if (step >= 0) costs.push_back(cost);
    peak.measure();
  }
  std::ranges::sort(costs, {}, &StepCost::seconds);
  const StepCost& median = costs[costs.size() / 2];
  LayerBenchmarkResult result;
  result.step_ms = 1e3 * median.seconds;
  result.step_ms_min = 1e3 * costs.front().seconds;
  result.step_ms_max = 1e3 * costs.back().seconds;
  result.gflops = 1e-9 * expert_flops(benchmark) / median.seconds;
  result.gemm_peak_gflops = peak.gflops();
  result.peak_fraction = result.gflops / result.gemm_peak_gflops;
  result.bytes_exchanged = static_cast<std::int64_t>(median.bytes);
  result.allocations_per_step = median_of(costs, &StepCost::allocations);
  result.minor_faults_per_step = median_of(costs, &StepCost::minor_faults);
  result.times = median.times;
  return result;
}

}  // namespace coe
