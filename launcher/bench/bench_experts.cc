#include "launcher/bench/bench_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "kernels/memory/random.h"
#include "launcher/bench/gemm_peak.h"
#include "launcher/bench/random_traffic.h"
#include "launcher/bench/random_weights.h"
#include "runtime/layer/experts.h"

namespace coe {
namespace {

constexpr Phase kPhase{"benchmark"};

class RandomExperts {
 public:
  RandomExperts(const Benchmark& benchmark, Transport& world)
      : group_{&world},
        hidden_(benchmark.layer.hidden),
        placement_(benchmark.layer.experts, world.size()),
        weights_(benchmark.layer, placement_.experts_of(world.rank()), group_),
        experts_(weights_.views().experts, benchmark.threads),
        plan_(plan_of(random_routing(benchmark, world.rank(), inputs_), placement_, group_, inputs_)),
        in_(random_rows(0)),
        out_(random_rows(1)),
        d_(random_rows(2)),
        dx_(random_rows(3)) {}

  double forward() {
    scratch_.reset();
    return seconds([&] { experts_.forward(in_, out_, &saved_, scratch_); });
  }
  double backward() {
    return seconds([&] { experts_.backward(d_, dx_, saved_, scratch_); });
  }
  void zero_gradients() { weights_.zero_gradients(); }

  double mean_rows() const {
    auto rows = static_cast<double>(plan_.expert_rows());
    all_reduce_sum<double>(group_, {&rows, 1}, kPhase);
    return rows / group_.size();
  }
  /// Of every expert, over all ranks.
  std::vector<double> rows_of_experts() const {
    std::vector<double> rows(static_cast<std::size_t>(placement_.experts()));
    const ExpertIds& mine = placement_.experts_of(group_.rank());
    const auto* offsets = plan_.expert_offsets.data<std::int32_t>();
    for (std::int64_t e = 0; e < mine.count(); ++e) {
      rows[static_cast<std::size_t>(mine[e])] = offsets[e + 1] - offsets[e];
    }
    all_reduce_sum<double>(group_, rows, kPhase);
    return rows;
  }

 private:
  ExpertRows random_rows(std::uint64_t stream) {
    const std::int64_t rows = plan_.expert_rows();
    const ExpertRows made{inputs_.make<float>({rows, hidden_}), inputs_.make<float>({rows}), plan_.expert_offsets};
    fill_normal(made.rows, {21, stream}, 0, 1);
    std::ranges::fill(made.scalar.span<float>(), 0.25F);
    return made;
  }

  /// Until the last rank is done.
  double seconds(const std::function<void()>& work) const {
    barrier(group_, kPhase);
    const auto start = std::chrono::steady_clock::now();
    work();
    barrier(group_, kPhase);
    double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    all_reduce_sum<double>(group_, {&took, 1}, kPhase);
    return took / group_.size();
  }

  Group group_;
  std::int64_t hidden_;
  Placement placement_;
  RandomWeights weights_;
  Experts experts_;
  Arena inputs_, scratch_;
  DispatchPlan plan_;
  ExpertRows in_, out_, d_, dx_;
  ExpertsSaved saved_;
};

}  // namespace

ExpertsBenchmarkResult bench_experts(const Benchmark& benchmark, Transport& world) {
  RandomExperts experts(benchmark, world);
  GemmPeak peak({&world}, benchmark.threads);
  const LayerConfig& layer = benchmark.layer;
  ExpertsBenchmarkResult result;
  result.rows = experts.mean_rows();
  const double flops =
      (benchmark.forward_only ? 6.0 : 18.0) * result.rows * static_cast<double>(layer.hidden * layer.expert_hidden);
  std::vector<double> forward, backward, gflops;
  for (int step = -benchmark.warmup_steps; step < benchmark.steps; ++step) {
    experts.zero_gradients();
    const double there = experts.forward(), back = benchmark.forward_only ? 0 : experts.backward();
    peak.measure();
    if (step < 0) continue;
    forward.push_back(1e3 * there);
    backward.push_back(1e3 * back);
    gflops.push_back(1e-9 * flops / (there + back));
  }
  result.forward_ms = spread_of(forward);
  result.backward_ms = spread_of(backward);
  result.gflops = spread_of(gflops);
  result.gemm_peak_gflops = peak.gflops();
  result.peak_fraction = result.gflops.median / result.gemm_peak_gflops;
  const std::vector<double> rows = experts.rows_of_experts();
  result.fewest_rows = std::ranges::min(rows);
  result.most_rows = std::ranges::max(rows);
  return result;
}

BenchReport report_experts(const Benchmark& benchmark, const ExpertsBenchmarkResult& result, int ranks) {
  BenchReport report = begin_report("experts", benchmark, ranks);
  report.text += fmt::format("  forward {} ms, backward {} ms, of {:.0f} rows a rank, {:.0f} to {:.0f} an expert\n",
                             text_of(result.forward_ms, 2), text_of(result.backward_ms, 2), result.rows,
                             result.fewest_rows, result.most_rows);
  report.text += fmt::format("  {} GFLOP/s a rank, {:.3f} of the GEMM peak of {:.2f}\n", text_of(result.gflops, 2),
                             result.peak_fraction, result.gemm_peak_gflops);
  report.put("forward_ms", result.forward_ms);
  report.put("backward_ms", result.backward_ms);
  report.put("gflops", result.gflops);
  report.numbers["gemm_peak_gflops"] = result.gemm_peak_gflops;
  report.numbers["peak_fraction"] = result.peak_fraction;
  report.numbers["rows"] = result.rows;
  report.numbers["fewest_rows"] = result.fewest_rows;
  report.numbers["most_rows"] = result.most_rows;
  return report;
}

}  // namespace coe
