#include "launcher/bench/bench.h"

#include <fmt/core.h>

#include <fstream>

#include "comm/launch.h"
#include "kernels/memory/error.h"
#include "launcher/bench/bench_cuda_experts.h"
#include "launcher/bench/bench_cuda_layer.h"
#include "launcher/bench/bench_exchange.h"
#include "launcher/bench/bench_experts.h"
#include "launcher/bench/bench_gate.h"
#include "launcher/bench/bench_layer.h"
#include "launcher/bench/bench_options.h"
#include "launcher/failure.h"
#include "launcher/meet.h"
#include "launcher/pinning.h"
#include "runtime/files/json_text.h"
#include "runtime/layer/check_device.h"

namespace coe {
namespace {

bool on_cuda(const Benchmark& benchmark) { return benchmark.device == Device::Kind::kCuda; }

BenchReport run_cuda_benchmark(const BenchOptions& options, Transport& world) {
  const Benchmark& benchmark = options.benchmark;
  if (options.what == "experts") return report_cuda_experts(benchmark, bench_cuda_experts(benchmark, world));
  return report_cuda_layer(benchmark, bench_cuda_layer(benchmark, world));
}

BenchReport run_benchmark(const BenchOptions& options, Transport& world) {
  const Benchmark& benchmark = options.benchmark;
  const int ranks = world.size();
  if (on_cuda(benchmark)) return run_cuda_benchmark(options, world);
  if (options.what == "exchange") return report_exchange(benchmark, bench_exchange(benchmark, world), ranks);
  if (options.what == "experts") return report_experts(benchmark, bench_experts(benchmark, world), ranks);
  if (options.what == "gate") return report_gate(benchmark, bench_gate(benchmark, world), ranks);
  return report_layer(benchmark, bench_layer(benchmark, world), ranks);
}

}  // namespace

int run_benchmarks(std::span<const std::string> arguments) {
  const auto options = parse_bench_options(arguments);
  if (!options) return 0;
  if (on_cuda(options->benchmark)) check_cuda_device();
  std::ofstream json;
  if (!options->json.empty() && launched_rank() == 0) {
    json.open(options->json);
    check(json.is_open(), "bench: --json ", options->json.string(), " cannot be written");
  }
  const Pinning pinning(options->benchmark.threads);
  return run_ranks(facts_of_command("bench", arguments), [&](Transport& world) {
    const PinnedTeam team = pinning.pin(world);
    BenchOptions own = *options;
    own.benchmark.threads = team.threads();
    const BenchReport report = run_benchmark(own, world);
    if (world.rank() != 0) return;
    fmt::print("{}", report.text);
    if (json.is_open()) json << json_text(report.numbers) << std::endl;
    check(!json.fail(), "bench: --json ", options->json.string(), " cannot be written");
  });
}

}  // namespace coe
