#include "launcher/bench/bench_cuda_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/memory/copy.h"
#include "launcher/bench/random_on_device.h"
#include "launcher/bench/random_traffic.h"
#include "runtime/layer/check_device.h"
#include "runtime/layer/experts.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {
namespace {

struct StepTimes {
  double forward = 0, backward = 0;  ///< seconds
};

class RandomCudaExperts {
 public:
  RandomCudaExperts(const Benchmark& benchmark, Transport& world)
      : group_{&world},
        layer_(benchmark.layer),
        dtype_(benchmark.dtype),
        stream_(kCuda),
        memory_(0, kCuda),
        arena_(0, kCuda),
        begin_(kCuda),
        between_(kCuda),
        end_(kCuda) {
    const Tensor routed =
        plan_of(random_routing(benchmark, 0, host_), Placement(layer_.experts, 1), group_, host_).expert_offsets;
    offsets_ = memory_.make<std::int32_t>(routed.shape());
    copy(routed, offsets_, stream_);
    const auto ends = routed.span<std::int32_t>();
    for (std::size_t e = 0; e + 1 < ends.size(); ++e) rows_of_experts_.push_back(ends[e + 1] - ends[e]);
    const std::int64_t rows = ends.back();
    gate_up_ = random_weight({layer_.experts, 2 * layer_.expert_hidden, layer_.hidden}, 0);
    down_ = random_weight({layer_.experts, layer_.hidden, layer_.expert_hidden}, 1);
    std::vector<ExpertWeights> each;
    for (std::int64_t e = 0; e < layer_.experts; ++e) {
      each.push_back({gate_up_.value[e], down_.value[e], gate_up_.gradient[e], down_.gradient[e]});
    }
    experts_.emplace(each, 1, stream_);
    const auto make_rows = [&] {
      return ExpertRows{memory_.make(dtype_, {rows, layer_.hidden}), memory_.make<float>({rows}), offsets_};
    };
    x_ = make_rows();
    out_ = make_rows();
    d_ = make_rows();
    dx_ = make_rows();
    fill_normal_there(x_.rows, {21, 0}, 1, group_, stream_);
    fill_normal_there(d_.rows, {21, 2}, 1, group_, stream_);
    fill(d_.scalar, 0.25F, stream_);
  }

  StepTimes step(bool forward_only) {
    arena_.reset();
    clear(gate_up_.gradient, stream_);
    clear(down_.gradient, stream_);
    begin_.record(stream_);
    ExpertsSaved saved;
    experts_->forward(x_, out_, &saved, arena_);
    between_.record(stream_);
    if (!forward_only) experts_->backward(d_, dx_, saved, arena_);
    end_.record(stream_);
    wait(group_, stream_, {"benchmark"});
    return {between_.seconds_since(begin_), forward_only ? 0 : end_.seconds_since(between_)};
  }

  const Stream& stream() const { return stream_; }
  const std::vector<std::int64_t>& rows_of_experts() const { return rows_of_experts_; }

 private:
  /// The same numbers for every expert: a device multiplies them no faster, and the host need not draw them all.
  TrainedTensor random_weight(const Shape& shape, std::uint64_t stream) {
    const TrainedTensor weight{memory_.make(dtype_, shape), memory_.make<float>(shape)};
    const float deviation = 1 / std::sqrt(static_cast<float>(shape[2]));
    fill_normal_there(weight.value[0], {7, stream}, deviation, group_, stream_);
    for (std::int64_t e = 1; e < shape[0]; ++e) copy(weight.value[0], weight.value[e], stream_);
    return weight;
  }

  Group group_;
  LayerConfig layer_;
  DType dtype_;
  Stream stream_;
  Arena host_, memory_, arena_;
  std::vector<std::int64_t> rows_of_experts_;
  TrainedTensor gate_up_, down_;
  std::optional<Experts> experts_;
  Tensor offsets_;
  ExpertRows x_, out_, d_, dx_;
  Event begin_, between_, end_;
};

}  // namespace

CudaExpertsResult bench_cuda_experts(const Benchmark& benchmark, Transport& world) {
  check_cuda_device();
  RandomCudaExperts experts(benchmark, world);
  DeviceBounds bounds(benchmark.dtype, {&world}, experts.stream());
  const LayerConfig& layer = benchmark.layer;
  const double flops = (benchmark.forward_only ? 6.0 : 18.0) *
                       static_cast<double>(benchmark.tokens * layer.top_k * layer.hidden * layer.expert_hidden);
  std::vector<double> forward, backward, whole, gflops;
  for (int step = -benchmark.warmup_steps; step < benchmark.steps; ++step) {
    const StepTimes times = experts.step(benchmark.forward_only);
    bounds.measure();
    if (step < 0) continue;
    forward.push_back(1e3 * times.forward);
    backward.push_back(1e3 * times.backward);
    whole.push_back(forward.back() + backward.back());
    gflops.push_back(1e-6 * flops / whole.back());
  }
  return {spread_of(forward), spread_of(backward),       spread_of(whole),
          spread_of(gflops),  experts.rows_of_experts(), bounds.rates()};
}

BenchReport report_cuda_experts(const Benchmark& benchmark, const CudaExpertsResult& result) {
  BenchReport report = begin_report("experts", benchmark, 1);
  const auto [fewest, most] = std::ranges::minmax(result.rows_of_experts);
  report.text += fmt::format("  step {} ms: forward {}, backward {}, of {} rows, {} to {} an expert\n",
                             text_of(result.step_ms, 3), text_of(result.forward_ms, 3), text_of(result.backward_ms, 3),
                             benchmark.tokens * benchmark.layer.top_k, fewest, most);
  report.put("step_ms", result.step_ms);
  report.put("forward_ms", result.forward_ms);
  report.put("backward_ms", result.backward_ms);
  report.put("gflops", result.gflops);
  report.numbers["rows"] = benchmark.tokens * benchmark.layer.top_k;
  report.numbers["rows_of_experts"] = boost::json::value_from(result.rows_of_experts);
  say_bounds(report, result.bounds, result.gflops);
  return report;
}

}  // namespace coe
