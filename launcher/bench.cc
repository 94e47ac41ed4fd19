#include <fmt/core.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "comm/make_transport.h"
#include "kernels/error.h"
#include "launcher/bench_cuda_layer.h"
#include "launcher/bench_layer.h"
#include "launcher/command.h"
#include "launcher/failure.h"
#include "launcher/options.h"

namespace coe {
namespace po = boost::program_options;
namespace {

struct BenchArguments {
  LayerBenchmark benchmark;
  std::filesystem::path json;
  DType dtype = DType::kF32;
};

po::options_description option_list() {
  po::options_description options("options");
  const auto number = [](std::int64_t value) {
    return po::value<std::int64_t>()->default_value(value)->value_name("N");
  };
  auto add = options.add_options();
  add("tokens", number(4096), "tokens of each rank");
  add("sequence", number(256), "tokens of a sequence");
  add("hidden", number(256), "D, model width");
  add("expert-hidden", number(176), "F, expert width");
  add("experts", number(64), "N, routed experts");
  add("top-k", number(4), "K, experts per token and iteration");
  add("iterations", number(2), "C, iterations");
  add("forward-only", po::bool_switch(), "leave the backward out");
  add("steps", number(9), "measured steps, after two that are not");
  add("device", po::value<std::string>()->default_value("cpu")->value_name("NAME"), "cpu, or cuda: one rank on a GPU");
  add("dtype", po::value<std::string>()->default_value("fp32")->value_name("NAME"), "fp32, or on cuda bf16");
  add("json", po::value<std::string>()->value_name("FILE"), "write the numbers there too");
  return options;
}

std::optional<BenchArguments> parse(std::span<const std::string> arguments) {
  const VerbSyntax syntax{.verb = "bench",
                          .usage = "layer [options]",
                          .text =
                              "Times one chain layer on random tokens, alone "
                              "or under mpirun -np R, beside the rate of\n"
                              "plain matrix products measured in the same run.",
                          .positional = "what"};
  const auto values = parse_options(syntax, option_list(), arguments);
  if (!values) return std::nullopt;
  const std::string& what = (*values)["what"].as<std::vector<std::string>>().front();
  check(what == "layer", "bench: ", what, " is no benchmark; there is layer");
  const auto positive = [&](const char* name) {
    const auto value = (*values)[name].as<std::int64_t>();
    check(value >= 1 && value <= (std::int64_t{1} << 30), "bench: --", name, " is ", value, ", allowed are 1 to 2^30");
    return value;
  };
  BenchArguments result;
  LayerBenchmark& benchmark = result.benchmark;
  benchmark.tokens = positive("tokens");
  benchmark.sequence = positive("sequence");
  benchmark.layer.hidden = positive("hidden");
  benchmark.layer.expert_hidden = positive("expert-hidden");
  benchmark.layer.experts = positive("experts");
  benchmark.layer.top_k = positive("top-k");
  benchmark.layer.iterations = positive("iterations");
  benchmark.forward_only = (*values)["forward-only"].as<bool>();
  benchmark.steps = static_cast<int>(positive("steps"));
  const std::string device = (*values)["device"].as<std::string>(), dtype = (*values)["dtype"].as<std::string>();
  check(device == "cpu" || device == "cuda", "bench: --device is ", device, ", allowed are cpu, cuda");
  check(dtype == "fp32" || (dtype == "bf16" && device == "cuda"), "bench: --dtype is ", dtype,
        ", allowed are fp32, and bf16 with --device cuda");
  benchmark.layer.device = device == "cuda" ? Device::Kind::kCuda : Device::Kind::kCpu;
  result.dtype = dtype == "bf16" ? DType::kBF16 : DType::kF32;
  check(device == "cpu" || launched_ranks() == 1, "bench: --device cuda runs one rank, mpirun started ",
        launched_ranks());
  validate(benchmark.layer);
  check(benchmark.tokens % benchmark.sequence == 0, "bench: --tokens is ", benchmark.tokens,
        ", must be a multiple of --sequence, ", benchmark.sequence);
  if (values->count("json") == 1) result.json = (*values)["json"].as<std::string>();
  return result;
}

void print(const LayerBenchmark& benchmark, const LayerBenchmarkResult& result, int ranks) {
  const LayerConfig& layer = benchmark.layer;
  fmt::print("{}, {} ranks x {} tokens, D {}, F {}, {}\n", model_name(layer), ranks, benchmark.tokens, layer.hidden,
             layer.expert_hidden, benchmark.forward_only ? "forward" : "forward + backward");
  fmt::print("  step             {:10.2f} ms   (median of {}, {:.2f} to {:.2f})\n", result.step_ms, benchmark.steps,
             result.step_ms_min, result.step_ms_max);
  fmt::print(
      "  experts' products{:10.2f} GFLOP/s a rank, {:.3f} of the GEMM "
      "peak of {:.2f}\n",
      result.gflops, result.peak_fraction, result.gemm_peak_gflops);
  fmt::print("  exchanged        {:10.2f} MB a step between ranks\n",
             1e-6 * static_cast<double>(result.bytes_exchanged));
  fmt::print(
      "  heap allocations {:10.0f} a step, minor page faults {:.0f} a "
      "step (all ranks)\n",
      result.allocations_per_step, result.minor_faults_per_step);
  for (std::size_t i = 0; i < kPartNames.size(); ++i) {
    const double milliseconds = 1e3 * result.times.seconds[i];
    if (milliseconds == 0) continue;
    fmt::print("  {:<17}{:10.2f} ms   {:4.1f} %\n", kPartNames[i], milliseconds, 100 * milliseconds / result.step_ms);
  }
}

boost::json::object to_json(const LayerBenchmark& benchmark, const LayerBenchmarkResult& result, int ranks) {
  const LayerConfig& layer = benchmark.layer;
  boost::json::object parts;
  for (std::size_t i = 0; i < kPartNames.size(); ++i) parts[kPartNames[i]] = 1e3 * result.times.seconds[i];
  return {{"model", model_name(layer)},
          {"ranks", ranks},
          {"tokens", benchmark.tokens},
          {"sequence", benchmark.sequence},
          {"hidden", layer.hidden},
          {"expert_hidden", layer.expert_hidden},
          {"experts", layer.experts},
          {"top_k", layer.top_k},
          {"iterations", layer.iterations},
          {"forward_only", benchmark.forward_only},
          {"steps", benchmark.steps},
          {"step_ms", result.step_ms},
          {"step_ms_min", result.step_ms_min},
          {"step_ms_max", result.step_ms_max},
          {"gflops", result.gflops},
          {"gemm_peak_gflops", result.gemm_peak_gflops},
          {"peak_fraction", result.peak_fraction},
          {"allocations_per_step", result.allocations_per_step},
          {"minor_faults_per_step", result.minor_faults_per_step},
          {"bytes_exchanged", result.bytes_exchanged},
          {"parts_ms", parts}};
}

}  // namespace

int run_bench(std::span<const std::string> arguments) {
  const auto parsed = parse(arguments);
  if (!parsed) return 0;
  if (parsed->benchmark.layer.device == Device::Kind::kCuda) {
    run_cuda_layer_bench(parsed->benchmark, parsed->dtype, parsed->json.string());
    return 0;
  }
  std::ofstream json;
  if (!parsed->json.empty() && launched_rank() == 0) {
    json.open(parsed->json);
    check(json.is_open(), "bench: --json ", parsed->json.string(), " cannot be written");
  }
  return run_ranks([&](Transport& world) {
    const LayerBenchmarkResult result = bench_layer(parsed->benchmark, world);
    if (world.rank() != 0) return;
    print(parsed->benchmark, result, world.size());
    if (json.is_open()) json << boost::json::serialize(to_json(parsed->benchmark, result, world.size())) << std::endl;
    check(!json.fail(), "bench: --json ", parsed->json.string(), " cannot be written");
  });
}

}  // namespace coe
