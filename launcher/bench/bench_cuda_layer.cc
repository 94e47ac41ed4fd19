#include "launcher/bench/bench_cuda_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "launcher/bench/random_on_device.h"
#include "launcher/bench/random_weights.h"
#include "runtime/exchange/stream_exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/layer/check_device.h"
#include "runtime/layer/layer_size.h"
#include "runtime/model/model_parameters.h"

namespace coe {
namespace {

constexpr Phase kPhase{"benchmark"};

struct StepTimes {
  double step = 0, forward = 0, experts = 0;  ///< seconds
};

/// A layer of random weights and its input on the device.
class RandomCudaLayer {
 public:
  RandomCudaLayer(const Benchmark& benchmark, Transport& world)
      : benchmark_(benchmark),
        groups_(world, 0, kDefaultDeadline),
        placement_(benchmark.layer.experts, 1),
        stream_(kCuda),
        batch_(deal_batch(benchmark.tokens / benchmark.sequence, benchmark.sequence, groups_)),
        weights_(chain_specs(benchmark.layer, "", placement_.experts_of(0), ExpertOrder::kByMatrix), true, stream_,
                 benchmark.dtype),
        exchange_(groups_.experts(), benchmark.layer.hidden, benchmark.dtype, stream_, hint()),
        workspace_(make_layer_workspace(benchmark.layer, groups_, benchmark.tokens, stream_)),
        layer_(benchmark.layer, 0,
               {.groups = &groups_,
                .placement = &placement_,
                .exchange = &exchange_,
                .workspace = &workspace_,
                .times = &times_,
                .stream = &stream_},
               chain_weights(benchmark.layer, "", placement_.experts_of(0), weights_)),
        tokens_(0, kCuda),
        arena_(0, kCuda),
        context_{.l1_coeff = benchmark.layer.l1_coeff} {
    weights_.copy_from(RandomWeights(benchmark.layer, placement_.experts_of(0), groups_.world()).parameters());
    wait(groups_.experts(), stream_, kPhase);
    x_ = random_tokens(8, 1);
    dy_ = random_tokens(9, 1e-3F);
    dx_ = tokens_.make(benchmark.dtype, x_.shape());
    // A forward stops where it needs a peer: for tables, rows and results of each iteration, and it ends.
    const auto iterations = static_cast<std::size_t>(benchmark.layer.iterations);
    for (std::size_t i = 0; i < kStops * iterations + 3; ++i) events_.emplace_back(kCuda);
  }

  const Stream& stream() const { return stream_; }

  StepTimes step() {
    arena_.reset();
    weights_.zero_gradients();
    events_[0].record(stream_);
    ChainOutput out;
    std::size_t stops = 0;
    Task forward = layer_.begin_forward(x_, batch_, context_, &saved_, arena_, out);
    while (!forward.done()) {
      forward.go_on();
      events_[++stops].record(stream_);
    }
    if (!benchmark_.forward_only) layer_.backward(dy_, saved_, dx_, arena_);
    events_[stops + 1].record(stream_);
    wait(groups_.experts(), stream_, kPhase);
    StepTimes times{events_[stops + 1].seconds_since(events_[0]), events_[stops].seconds_since(events_[0]), 0};
    // From where rows have arrived to where results are sent back.
    for (std::size_t stop = 2; stop < stops; stop += kStops) {
      times.experts += events_[stop + 1].seconds_since(events_[stop]);
    }
    return times;
  }

 private:
  static constexpr std::size_t kStops = 3;

  FlightHint hint() const {
    return {.rows = most_rows(benchmark_.layer, placement_, benchmark_.tokens),
            .arrivals = static_cast<int>(benchmark_.layer.iterations) + 1,
            .results = 1};
  }
  Tensor random_tokens(std::uint64_t key, float deviation) {
    const Tensor tokens = tokens_.make(benchmark_.dtype, {benchmark_.tokens, benchmark_.layer.hidden});
    fill_normal_there(tokens, {key, 0}, deviation, groups_.experts(), stream_);
    return tokens;
  }

  Benchmark benchmark_;
  RankGroups groups_;
  Placement placement_;
  Stream stream_;
  Batch batch_;
  Parameters weights_;
  StreamExchange exchange_;
  LayerWorkspace workspace_;
  PartTimes times_;
  ChainLayer layer_;
  ChainSaved saved_;
  Arena tokens_, arena_;
  Tensor x_, dy_, dx_;
  RoutingContext context_;
  std::vector<Event> events_;
};

/// What gate, dispatch and combine of a forward read and write at least: an iteration reads T rows for gate and
/// dispatch each and writes K T, then reads K T and x and writes T.
double routed_bytes(const Benchmark& benchmark) {
  const LayerConfig& layer = benchmark.layer;
  return static_cast<double>(benchmark.tokens * layer.iterations * (2 * layer.top_k + 4) * layer.hidden) *
         static_cast<double>(size_of(benchmark.dtype));
}

double expert_flops(const Benchmark& benchmark) {
  const LayerConfig& layer = benchmark.layer;
  const auto rows = static_cast<double>(benchmark.tokens * layer.top_k * layer.iterations);
  return (benchmark.forward_only ? 6.0 : 18.0) * rows * static_cast<double>(layer.hidden * layer.expert_hidden);
}

Spread spread_over(const std::vector<StepTimes>& steps, const std::function<double(const StepTimes&)>& value) {
  std::vector<double> values;
  std::ranges::transform(steps, std::back_inserter(values), value);
  return spread_of(values);
}

}  // namespace

CudaLayerResult bench_cuda_layer(const Benchmark& benchmark, Transport& world) {
  check_cuda_layer(benchmark.layer);
  check_cuda_device();
  RandomCudaLayer layer(benchmark, world);
  DeviceBounds bounds(benchmark.dtype, {&world}, layer.stream());
  std::vector<StepTimes> steps;
  for (int step = -benchmark.warmup_steps; step < benchmark.steps; ++step) {
    const StepTimes times = layer.step();
    bounds.measure();
    if (step >= 0) steps.push_back(times);
  }
  const double flops = expert_flops(benchmark), bytes = routed_bytes(benchmark);
  return {.step_ms = spread_over(steps, [](const StepTimes& step) { return 1e3 * step.step; }),
          .forward_ms = spread_over(steps, [](const StepTimes& step) { return 1e3 * step.forward; }),
          .experts_forward_ms = spread_over(steps, [](const StepTimes& step) { return 1e3 * step.experts; }),
          .gflops = spread_over(steps, [&](const StepTimes& step) { return 1e-9 * flops / step.step; }),
          .routing_gb_per_s =
              spread_over(steps, [&](const StepTimes& step) { return 1e-9 * bytes / (step.forward - step.experts); }),
          .bounds = bounds.rates()};
}

BenchReport report_cuda_layer(const Benchmark& benchmark, const CudaLayerResult& result) {
  BenchReport report = begin_report("layer", benchmark, 1);
  const double fraction = result.routing_gb_per_s.median / result.bounds.copy_gb_per_s.median;
  report.text += fmt::format("  step {} ms, of which forward {}, of which experts {}\n", text_of(result.step_ms, 3),
                             text_of(result.forward_ms, 3), text_of(result.experts_forward_ms, 3));
  report.text += fmt::format("  gate, plan, dispatch and combine of the forward {} GB/s, {:.3f} of a large copy\n",
                             text_of(result.routing_gb_per_s, 0), fraction);
  report.put("step_ms", result.step_ms);
  report.put("forward_ms", result.forward_ms);
  report.put("experts_forward_ms", result.experts_forward_ms);
  report.put("gflops", result.gflops);
  report.put("routing_gb_per_s", result.routing_gb_per_s);
  report.numbers["routing_fraction"] = fraction;
  say_bounds(report, result.bounds, result.gflops);
  return report;
}

}  // namespace coe
