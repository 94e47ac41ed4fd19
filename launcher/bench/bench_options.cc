#include "launcher/bench/bench_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "comm/launch.h"
#include "kernels/memory/error.h"
#include "launcher/options.h"
#include "launcher/order_option.h"
#include "launcher/threads_option.h"

namespace coe {
namespace po = boost::program_options;
namespace {

/// The options that a benchmark takes besides those that all take.
struct Kind {
  std::string_view name, options;
};
constexpr std::array kKinds{Kind{"layer", "sequence expert-hidden iterations forward-only device dtype order threads"},
                            Kind{"exchange", "skew"},
                            Kind{"experts", "expert-hidden skew forward-only device dtype threads"},
                            Kind{"gate", "sequence"}};
constexpr std::string_view kNotForAll =
    "sequence expert-hidden iterations skew forward-only device dtype order threads";

/// Sizes that numbers are compared at; per rank.
struct Workload {
  std::string_view name;
  std::int64_t tokens, sequence, hidden, expert_hidden;
  bool forward_only;
};
constexpr std::array kWorkloads{Workload{"w1", 4096, 256, 256, 176, false}, Workload{"w2", 2048, 256, 1024, 704, false},
                                Workload{"w3", 128, 128, 256, 176, true}};

bool holds_word(std::string_view words, std::string_view word) {
  return fmt::format(" {} ", words).find(fmt::format(" {} ", word)) != std::string::npos;
}

po::options_description option_list() {
  po::options_description options("options");
  const auto number = [](std::int64_t value) {
    return po::value<std::int64_t>()->default_value(value)->value_name("N");
  };
  const auto size = [] { return po::value<std::int64_t>()->value_name("N"); };
  auto add = options.add_options();
  add("workload", po::value<std::string>()->default_value("w1")->value_name("NAME"),
      "sizes: w1 (4096 tokens a rank, D 256, F 176), w2 (2048, D 1024, F 704), w3 (128, D 256, F 176, forward only)");
  add("tokens", size(), "tokens of each rank, instead of the workload's");
  add("sequence", size(), "tokens of a sequence (layer, gate)");
  add("hidden", size(), "D, model width");
  add("expert-hidden", size(), "F, expert width (layer, experts)");
  add("experts", number(64), "N, routed experts");
  add("top-k", number(4), "K, experts per token and iteration");
  add("iterations", number(2), "C, iterations (layer); the others run one");
  add("skew", po::value<double>()->default_value(0)->value_name("S"),
      "the e-th most wanted expert is wanted e^-S as much as the first (exchange, experts)");
  add("forward-only", po::bool_switch(), "leave the backward out (layer, experts)");
  add("steps", number(9), "measured steps, after a few that are not");
  add("device", po::value<std::string>()->default_value("cpu")->value_name("NAME"),
      "cpu, or cuda: one rank on a GPU (layer, experts)");
  add("dtype", po::value<std::string>()->default_value("fp32")->value_name("NAME"),
      "fp32, or on cuda bf16 (layer, experts)");
  add_order_option(options);
  add_threads_option(options);
  add("json", po::value<std::string>()->value_name("FILE"), "write the numbers there too");
  return options;
}

const Kind& kind_of(std::string_view what) {
  const auto* kind = std::ranges::find(kKinds, what, &Kind::name);
  check(kind != kKinds.end(), "bench: ", what, " is no benchmark; there are layer, exchange, experts, gate");
  return *kind;
}

void check_applies(const Kind& kind, const po::variables_map& values) {
  for (const auto& [name, value] : values) {
    if (value.defaulted() || !holds_word(kNotForAll, name)) continue;
    check(holds_word(kind.options, name), "bench ", kind.name, ": --", name, " means nothing here, allowed are --",
          "workload, --tokens, --hidden, --experts, --top-k, --steps, --json and of the others: ", kind.options);
  }
}

/// A number of the command line.
std::int64_t positive(const po::variables_map& values, const char* name) {
  const auto value = values[name].as<std::int64_t>();
  check(value >= 1 && value <= (std::int64_t{1} << 30), "bench: --", name, " is ", value, ", allowed are 1 to 2^30");
  return value;
}

const Workload& workload_of(const po::variables_map& values) {
  const auto& name = values["workload"].as<std::string>();
  const auto* workload = std::ranges::find(kWorkloads, name, &Workload::name);
  check(workload != kWorkloads.end(), "bench: --workload is ", name, ", must be w1, w2 or w3");
  return *workload;
}

Device::Kind device_of(const po::variables_map& values) {
  const auto& device = values["device"].as<std::string>();
  check(device == "cpu" || device == "cuda", "bench: --device is ", device, ", allowed are cpu, cuda");
  check(device == "cpu" || launched_ranks() == 1, "bench: --device cuda runs one rank, mpirun started ",
        launched_ranks());
  return device == "cuda" ? Device::Kind::kCuda : Device::Kind::kCpu;
}

DType dtype_of(const po::variables_map& values, Device::Kind device) {
  const auto& dtype = values["dtype"].as<std::string>();
  check(dtype == "fp32" || (dtype == "bf16" && device == Device::Kind::kCuda), "bench: --dtype is ", dtype,
        ", allowed are fp32, and bf16 with --device cuda");
  return dtype == "bf16" ? DType::kBF16 : DType::kF32;
}

Benchmark benchmark_of(const Kind& kind, const po::variables_map& values) {
  const Workload& workload = workload_of(values);
  const auto size = [&](const char* name, std::int64_t preset) {
    return values.count(name) == 1 ? positive(values, name) : preset;
  };
  Benchmark benchmark;
  benchmark.tokens = size("tokens", workload.tokens);
  benchmark.layer.hidden = size("hidden", workload.hidden);
  benchmark.layer.expert_hidden = size("expert-hidden", workload.expert_hidden);
  benchmark.device = device_of(values);
  benchmark.dtype = dtype_of(values, benchmark.device);
  benchmark.order = named_order("bench", values);
  check(benchmark.device == Device::Kind::kCpu || benchmark.order == ExchangeOrder::kExact,
        "bench: --order partial-sums needs --device cpu");
  benchmark.threads = static_cast<int>(named_threads(values, 1));
  check(benchmark.device == Device::Kind::kCpu || benchmark.threads == 1, "bench: --threads is ", benchmark.threads,
        ", --device cuda needs 1");
  benchmark.layer.experts = positive(values, "experts");
  benchmark.layer.top_k = positive(values, "top-k");
  if (kind.name == "layer") benchmark.layer.iterations = positive(values, "iterations");
  if (holds_word(kind.options, "sequence")) benchmark.sequence = size("sequence", workload.sequence);
  const bool backward = holds_word(kind.options, "forward-only");
  benchmark.forward_only = !backward || workload.forward_only || values["forward-only"].as<bool>();
  benchmark.skew = values["skew"].as<double>();
  benchmark.steps = static_cast<int>(positive(values, "steps"));
  check(benchmark.skew >= 0 && benchmark.skew <= 100, "bench: --skew is ", benchmark.skew, ", allowed are 0 to 100");
  validate(benchmark.layer);
  check(benchmark.tokens % benchmark.sequence == 0, "bench: --tokens is ", benchmark.tokens,
        ", must be a multiple of --sequence, ", benchmark.sequence);
  return benchmark;
}

}  // namespace

std::optional<BenchOptions> parse_bench_options(std::span<const std::string> arguments) {
  const VerbSyntax syntax{.verb = "bench",
                          .usage = "layer|exchange|experts|gate [options]",
                          .text =
                              "Times one chain layer, or one part of it, on random tokens, alone or under mpirun -np "
                              "R, in turns with what\nbounds it on this machine: matrix products, copies of the same "
                              "rows, reading the tokens.",
                          .positional = "what"};
  const auto values = parse_options(syntax, option_list(), arguments);
  if (!values) return std::nullopt;
  const Kind& kind = kind_of((*values)["what"].as<std::vector<std::string>>().front());
  check_applies(kind, *values);
  BenchOptions options{std::string(kind.name), benchmark_of(kind, *values), {}};
  if (values->count("json") == 1) options.json = (*values)["json"].as<std::string>();
  return options;
}

}  // namespace coe
