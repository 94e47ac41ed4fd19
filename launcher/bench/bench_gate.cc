#include "launcher/bench/bench_gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/memory/random.h"
#include "launcher/bench/cold_timer.h"
#include "launcher/bench/gemm_peak.h"
#include "launcher/bench/random_traffic.h"
#include "launcher/bench/random_weights.h"
#include "runtime/routing/gate.h"

namespace coe {
namespace {

class RandomGate {
 public:
  RandomGate(const Benchmark& benchmark, Transport& world)
      : groups_(world, 0, kDefaultDeadline),
        placement_(benchmark.layer.experts, world.size()),
        weights_(benchmark.layer, Share{}, groups_.world()),
        router_(make_router(benchmark.layer)),
        gate_(benchmark.layer, 0, 0, weights_.views().gates[0], *router_),
        batch_(deal_batch(benchmark.tokens / benchmark.sequence * world.size(), benchmark.sequence, groups_)),
        x_(inputs_.make<float>({batch_.tokens(), benchmark.layer.hidden})),
        timer_(groups_.world()) {
    fill_normal(x_, {8, static_cast<std::uint64_t>(world.rank())}, 0, 1);
  }

  double gate() {
    scratch_.reset();
    return timer_.time([&] { routed_ = gate_.forward(x_, batch_, {}, saved_, scratch_); });
  }
  double plan() {
    return timer_.time([&] { plan_of(routed_.routing, placement_, groups_.experts(), scratch_); });
  }
  double read() {
    return timer_.time([&] {
      // As integers: a sum of floats in a fixed order is no vector loop.
      const std::span<const std::uint64_t> words(reinterpret_cast<const std::uint64_t*>(x_.raw()), x_.bytes() / 8);
      seen_ = std::accumulate(words.begin(), words.end(), seen_);
    });
  }

 private:
  RankGroups groups_;
  Placement placement_;
  RandomWeights weights_;
  std::unique_ptr<Router> router_;
  Gate gate_;
  Batch batch_;
  Arena inputs_, scratch_;
  Tensor x_;
  ColdTimer timer_;
  GateSaved saved_;
  Routed routed_;
  volatile std::uint64_t seen_ = 0;  ///< keeps the reading from being left out
};

}  // namespace

GateBenchmarkResult bench_gate(const Benchmark& benchmark, Transport& world) {
  RandomGate gate(benchmark, world);
  GemmPeak peak({&world});
  std::vector<double> gates, plans, totals, reads;
  for (int step = -benchmark.warmup_steps; step < benchmark.steps; ++step) {
    const double chosen = 1e3 * gate.gate(), planned = 1e3 * gate.plan(), read = 1e3 * gate.read();
    peak.measure();
    if (step < 0) continue;
    gates.push_back(chosen);
    plans.push_back(planned);
    totals.push_back(chosen + planned);
    reads.push_back(read);
  }
  GateBenchmarkResult result{.gate_ms = spread_of(gates),
                             .plan_ms = spread_of(plans),
                             .total_ms = spread_of(totals),
                             .read_ms = spread_of(reads),
                             .gemm_peak_gflops = peak.gflops()};
  const LayerConfig& layer = benchmark.layer;
  const double flops = 2.0 * static_cast<double>(benchmark.tokens * layer.hidden * layer.experts);
  result.product_ms = 1e-6 * flops / result.gemm_peak_gflops;
  result.bound_ms = std::max(result.read_ms.median, result.product_ms);
  result.bound_fraction = result.bound_ms / result.total_ms.median;
  return result;
}

BenchReport report_gate(const Benchmark& benchmark, const GateBenchmarkResult& result, int ranks) {
  BenchReport report = begin_report("gate", benchmark, ranks);
  report.text += fmt::format("  gate and router {} ms, plan {} ms, both {} ms\n", text_of(result.gate_ms, 3),
                             text_of(result.plan_ms, 3), text_of(result.total_ms, 3));
  report.text +=
      fmt::format("  reading the tokens {} ms, the gate's product at the GEMM peak of {:.2f} GFLOP/s {:.3f} ms\n",
                  text_of(result.read_ms, 3), result.gemm_peak_gflops, result.product_ms);
  report.text += fmt::format("  {:.3f} of the bound of {:.3f} ms, the longer of the two\n", result.bound_fraction,
                             result.bound_ms);
  report.put("gate_ms", result.gate_ms);
  report.put("plan_ms", result.plan_ms);
  report.put("total_ms", result.total_ms);
  report.put("read_ms", result.read_ms);
  report.numbers["product_ms"] = result.product_ms;
  report.numbers["gemm_peak_gflops"] = result.gemm_peak_gflops;
  report.numbers["bound_ms"] = result.bound_ms;
  report.numbers["bound_fraction"] = result.bound_fraction;
  return report;
}

}  // namespace coe
