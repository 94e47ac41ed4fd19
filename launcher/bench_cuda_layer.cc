#include "launcher/bench_cuda_layer.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>

#include "comm/make_transport.h"
#include "kernels/copy.h"
#include "kernels/random.h"
#include "runtime/cuda_chain_layer.h"
#include "runtime/model_parameters.h"

namespace coe {
namespace {

constexpr Phase kPhase{"benchmark"};

/// Weights of the authors' size, so that the gates choose evenly.
void draw(Parameters& parameters) {
  std::uint64_t stream = 0;
  for (const Parameter& parameter : parameters.all()) {
    const auto inputs = static_cast<float>(parameter.value.extent(1));
    fill_normal(parameter.value, {7, ++stream}, 0, 1 / std::sqrt(inputs));
  }
}

struct StepTimes {
  double step = 0, forward = 0, experts = 0;  ///< seconds
};

/// A layer of random weights and its input on the device.
class RandomCudaLayer {
 public:
  RandomCudaLayer(const Benchmark& benchmark, DType dtype, Transport& world)
      : benchmark_(benchmark),
        groups_(world, 0, kDefaultDeadline),
        placement_(benchmark.layer.experts, 1),
        stream_(kCuda),
        batch_(deal_batch(benchmark.tokens / benchmark.sequence, benchmark.sequence, groups_)),
        parameters_(chain_specs(benchmark.layer, "", placement_.experts_of(0)), true),
        weights_(benchmark.layer, drawn(), dtype, groups_.experts(), stream_),
        exchange_(groups_.experts(), room_of(benchmark.layer, placement_, benchmark.tokens, dtype), stream_),
        layer_(benchmark.layer, 0, {&groups_, &placement_, &exchange_, &weights_, &stream_}),
        tokens_(0, kCuda),
        arena_(0, kCuda) {
    x_ = random_tokens(dtype, 8, 1);
    dy_ = random_tokens(dtype, 9, 1e-3F);
    dx_ = tokens_.make(dtype, x_.shape());
    for (int i = 0; i < layer_.forward_stages() + 2; ++i) events_.emplace_back(kCuda);
  }

  StepTimes step() {
    arena_.reset();
    weights_.zero_gradients(stream_);
    const auto stages = static_cast<std::size_t>(layer_.forward_stages());
    events_[0].record(stream_);
    layer_.begin_forward(x_, batch_, benchmark_.layer.l1_coeff, arena_);
    for (std::size_t stage = 0; stage < stages; ++stage) {
      layer_.forward_stage(static_cast<int>(stage), arena_);
      events_[stage + 1].record(stream_);
    }
    if (!benchmark_.forward_only) layer_.backward(dy_, dx_, arena_);
    events_[stages + 1].record(stream_);
    wait(groups_.experts(), stream_, kPhase);
    StepTimes times{events_[stages + 1].seconds_since(events_[0]), events_[stages].seconds_since(events_[0]), 0};
    for (std::size_t stage = 2; stage < stages; stage += 3) {
      times.experts += events_[stage + 1].seconds_since(events_[stage]);
    }
    return times;
  }

 private:
  ChainWeights drawn() {
    draw(parameters_);
    return chain_weights(benchmark_.layer, "", placement_.experts_of(0), parameters_);
  }

  Tensor random_tokens(DType dtype, std::uint64_t key, float deviation) {
    Arena host, staging(0, kCuda);
    const Tensor drawn = host.make<float>({benchmark_.tokens, benchmark_.layer.hidden});
    fill_normal(drawn, {key, 0}, 0, deviation);
    const Tensor there = tokens_.make(dtype, drawn.shape());
    const Tensor staged = dtype == DType::kF32 ? there : staging.make<float>(drawn.shape());
    copy(drawn, staged, stream_);
    if (dtype != DType::kF32) cast(staged, there, stream_);
    wait(groups_.experts(), stream_, kPhase);
    return there;
  }

  Benchmark benchmark_;
  RankGroups groups_;
  Placement placement_;
  Stream stream_;
  Batch batch_;
  Parameters parameters_;
  DeviceChainWeights weights_;
  DeviceExchange exchange_;
  CudaChainLayer layer_;
  Arena tokens_, arena_;
  Tensor x_, dy_, dx_;
  std::vector<Event> events_;
};

double median_of(const std::vector<StepTimes>& all, double StepTimes::*value) {
  std::vector<double> values;
  std::ranges::transform(all, std::back_inserter(values), value);
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

CudaLayerResult bench_cuda_layer(const Benchmark& benchmark, DType dtype, Transport& world) {
  check_cuda_layer(benchmark.layer);
  check_cuda_device();
  RandomCudaLayer layer(benchmark, dtype, world);
  std::vector<StepTimes> all;
  for (int step = -benchmark.warmup_steps; step < benchmark.steps; ++step) {
    const StepTimes times = layer.step();
    if (step >= 0) all.push_back(times);
  }
  const auto [least, most] = std::ranges::minmax(all, {}, &StepTimes::step);
  const LayerConfig& config = benchmark.layer;
  const auto rows = static_cast<double>(benchmark.tokens * config.top_k * config.iterations);
  const double flops =
      (benchmark.forward_only ? 6.0 : 18.0) * rows * static_cast<double>(config.hidden * config.expert_hidden);
  CudaLayerResult result;
  result.step_ms = 1e3 * median_of(all, &StepTimes::step);
  result.step_ms_min = 1e3 * least.step;
  result.step_ms_max = 1e3 * most.step;
  result.forward_ms = 1e3 * median_of(all, &StepTimes::forward);
  result.experts_forward_ms = 1e3 * median_of(all, &StepTimes::experts);
  // An iteration reads T rows for gate and dispatch each and writes K T, then reads K T and x and writes T.
  result.routed_bytes = benchmark.tokens * config.iterations * (2 * config.top_k + 4) * config.hidden *
                        static_cast<std::int64_t>(size_of(dtype));
  result.gflops = 1e-6 * flops / result.step_ms;
  return result;
}

void run_cuda_layer_bench(const Benchmark& benchmark, DType dtype, const std::string& json) {
  std::ofstream file;
  if (!json.empty()) file.open(json);
  check(json.empty() || file.is_open(), "bench: --json ", json, " cannot be written");
  const auto world = make_transport("local");
  const CudaLayerResult result = bench_cuda_layer(benchmark, dtype, *world);
  const std::string device = cuda_device_name(0), model = model_name(benchmark.layer);
  fmt::print("{}, {}, {} tokens, D {}, F {}, {}\n", model, device, benchmark.tokens, benchmark.layer.hidden,
             benchmark.layer.expert_hidden, name_of(dtype));
  fmt::print("  step             {:10.3f} ms   (median of {}, {:.3f} to {:.3f})\n", result.step_ms, benchmark.steps,
             result.step_ms_min, result.step_ms_max);
  fmt::print("  forward          {:10.3f} ms, of which experts {:.3f}\n", result.forward_ms, result.experts_forward_ms);
  fmt::print("  experts' products{:10.0f} GFLOP/s\n", result.gflops);
  if (json.empty()) return;
  const boost::json::object numbers{{"model", model},
                                    {"device", device},
                                    {"dtype", name_of(dtype)},
                                    {"tokens", benchmark.tokens},
                                    {"step_ms", result.step_ms},
                                    {"step_ms_min", result.step_ms_min},
                                    {"step_ms_max", result.step_ms_max},
                                    {"forward_ms", result.forward_ms},
                                    {"experts_forward_ms", result.experts_forward_ms},
                                    {"routed_bytes", result.routed_bytes},
                                    {"gflops", result.gflops}};
  file << boost::json::serialize(numbers) << std::endl;
  check(!file.fail(), "bench: --json ", json, " cannot be written");
}

}  // namespace coe
