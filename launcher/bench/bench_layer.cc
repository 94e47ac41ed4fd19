#include "launcher/bench/bench_layer.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "comm/collectives.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/random.h"
#include "launcher/bench/gemm_peak.h"
#include "launcher/bench/random_weights.h"
#include "launcher/bench/resident_memory.h"
#include "runtime/exchange/make_exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/layer/layer_size.h"

namespace coe {
namespace {

constexpr Phase kPhase{"benchmark"};
/// By its end everything that a layer needs has been made.
constexpr int kSettlingSteps = 3;
/// The GEMM peak is measured again after so many steps.
constexpr int kStepsBetweenPeaks = 8;

/// Page faults of this process, served without I/O, since it started.
std::int64_t minor_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// What this process has asked the system for so far.
struct Demands {
  AllocationCounts allocations = allocation_counts().value_or(AllocationCounts{});
  std::int64_t minor_faults = coe::minor_faults();
};

/// What one step cost, over all ranks.
struct StepCost {
  double seconds = 0;
  double ours = 0, large = 0, small = 0;  ///< allocations
  double minor_faults = 0, bytes = 0;
  PartTimes times;
};

/// What is there before a layer: its weights and its input.
struct LayerInput {
  LayerInput(const Benchmark& benchmark, Transport& world)
      : groups(world, 0, kDefaultDeadline),
        placement(benchmark.layer.experts, world.size()),
        weights(benchmark.layer, placement.experts_of(world.rank()), groups.world()),
        batch(deal_batch(benchmark.tokens / benchmark.sequence * world.size(), benchmark.sequence, groups)) {
    const Shape shape{batch.tokens(), benchmark.layer.hidden};
    tokens = memory.make<float>(shape);
    upstream = memory.make<float>(shape);
    gradient = memory.zeros<float>(shape);
    fill_normal(tokens, {8, static_cast<std::uint64_t>(world.rank())}, 0, 1);
    fill_normal(upstream, {9, static_cast<std::uint64_t>(world.rank())}, 0, 1e-3F);
  }

  RankGroups groups;
  Placement placement;
  RandomWeights weights;
  Batch batch;
  Arena memory;
  Tensor tokens, upstream, gradient;
};

LayerSize size_of(const Benchmark& benchmark, const LayerInput& input) {
  return layer_size(benchmark.layer, {.tokens = benchmark.tokens,
                                      .ranks = input.groups.experts().size(),
                                      .in_flight = ChainLayer::kInFlight,
                                      .backward = !benchmark.forward_only,
                                      .packed = benchmark.forward_only});
}

class BusyLayer {
 public:
  BusyLayer(const Benchmark& benchmark, LayerInput& input)
      : forward_only_(benchmark.forward_only),
        input_(input),
        exchange_(make_exchange(benchmark.order, input.groups.experts(), {benchmark.layer.hidden},
                                ChainLayer::flight_hint(forward_only_ ? 0 : 1, benchmark.layer.iterations,
                                                        size_of(benchmark, input).rows))),
        workspace_(make_layer_workspace(benchmark.layer, input.groups)),
        layer_(benchmark.layer, 0,
               {&input.groups, &input.placement, exchange_.get(), &workspace_, &times_, benchmark.threads},
               input.weights.views()),
        arena_(size_of(benchmark, input).arena_bytes) {
    if (forward_only_) layer_.pack_experts();
  }

  StepCost step() {
    arena_.reset();
    if (!forward_only_) input_.weights.zero_gradients();
    times_ = {};
    layer_.clear_counters();
    barrier(input_.groups.world(), kPhase);
    const Demands before;
    const auto start = std::chrono::steady_clock::now();
    ChainSaved* saved = forward_only_ ? nullptr : &saved_;
    layer_.forward(input_.tokens, input_.batch, {}, saved, arena_);
    if (saved != nullptr) layer_.backward(input_.upstream, saved_, input_.gradient, arena_);
    const Demands after;
    barrier(input_.groups.world(), kPhase);
    StepCost cost = difference(before, after);
    cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (const IterationCounters& counters : layer_.counters()) cost.bytes += static_cast<double>(counters.bytes_sent);
    cost.times = times_;
    return over_ranks(cost);
  }

 private:
  static StepCost difference(const Demands& before, const Demands& after) {
    StepCost cost;
    cost.ours = static_cast<double>(after.allocations.ours - before.allocations.ours);
    cost.large = static_cast<double>(after.allocations.large - before.allocations.large);
    cost.small = static_cast<double>(after.allocations.small - before.allocations.small);
    cost.minor_faults = static_cast<double>(after.minor_faults - before.minor_faults);
    return cost;
  }

  StepCost over_ranks(StepCost cost) const {
    const Group world = input_.groups.world();
    std::vector<double> sums = {cost.seconds, cost.ours, cost.large, cost.small, cost.minor_faults, cost.bytes};
    const std::size_t parts = sums.size();
    sums.insert(sums.end(), cost.times.seconds.begin(), cost.times.seconds.end());
    all_reduce_sum<double>(world, sums, kPhase);
    StepCost result{sums[0] / world.size(), sums[1], sums[2], sums[3], sums[4], sums[5], {}};
    for (std::size_t i = 0; i < result.times.seconds.size(); ++i) {
      result.times.seconds[i] = sums[parts + i] / world.size();
    }
    return result;
  }

  bool forward_only_;
  LayerInput& input_;
  PartTimes times_;
  std::unique_ptr<Exchange> exchange_;
  LayerWorkspace workspace_;
  ChainLayer layer_;
  Arena arena_;
  ChainSaved saved_;
};

std::int64_t memory_of_all(Group world) {
  barrier(world, kPhase);
  std::int64_t bytes = resident_memory();
  all_reduce_sum<std::int64_t>(world, {&bytes, 1}, kPhase);
  return bytes;
}

std::int64_t median_count(const std::vector<StepCost>& costs, double StepCost::*value) {
  std::vector<double> values(costs.size());
  std::ranges::transform(costs, values.begin(), value);
  return static_cast<std::int64_t>(spread_of(values).median);
}

double expert_flops(const Benchmark& benchmark) {
  const LayerConfig& layer = benchmark.layer;
  const auto rows = static_cast<double>(benchmark.tokens * layer.top_k * layer.iterations);
  return (benchmark.forward_only ? 6.0 : 18.0) * rows * static_cast<double>(layer.hidden * layer.expert_hidden);
}

LayerBenchmarkResult summary(std::vector<StepCost> costs, double flops, double gemm_peak_gflops) {
  std::ranges::sort(costs, {}, &StepCost::seconds);
  const StepCost& median = costs[costs.size() / 2];
  LayerBenchmarkResult result;
  result.step_ms = {1e3 * median.seconds, 1e3 * costs.front().seconds, 1e3 * costs.back().seconds};
  result.gflops = 1e-9 * flops / median.seconds;
  result.gemm_peak_gflops = gemm_peak_gflops;
  result.peak_fraction = result.gflops / gemm_peak_gflops;
  result.bytes_exchanged = static_cast<std::int64_t>(median.bytes);
  if (allocation_counts()) {
    result.allocations = AllocationCounts{median_count(costs, &StepCost::ours), median_count(costs, &StepCost::large),
                                          median_count(costs, &StepCost::small)};
  }
  result.minor_faults = static_cast<double>(median_count(costs, &StepCost::minor_faults));
  result.times = median.times;
  return result;
}

}  // namespace

LayerBenchmarkResult bench_layer(const Benchmark& benchmark, Transport& world) {
  check(benchmark.tokens % benchmark.sequence == 0, "bench layer: --tokens is ", benchmark.tokens,
        ", must be a multiple of --sequence, ", benchmark.sequence);
  LayerInput input(benchmark, world);
  GemmPeak peak({&world}, benchmark.threads);
  peak.measure();  // what the libraries keep is not the layer's
  const std::int64_t before = memory_of_all({&world});
  BusyLayer layer(benchmark, input);
  for (int step = 0; step < kSettlingSteps; ++step) layer.step();
  const std::int64_t growth = memory_of_all({&world}) - before;
  std::vector<StepCost> costs;
  for (int step = 0; step < benchmark.steps; ++step) {
    if (step % kStepsBetweenPeaks == 0) {
      peak.measure();
      layer.step();  // not counted: it finds in the caches what the peak left there, not what a step leaves
    }
    costs.push_back(layer.step());
  }
  LayerBenchmarkResult result = summary(std::move(costs), expert_flops(benchmark), peak.gflops());
  result.memory_growth = growth;
  result.size_hint = static_cast<std::int64_t>(size_of(benchmark, input).bytes()) * world.size();
  return result;
}

}  // namespace coe
