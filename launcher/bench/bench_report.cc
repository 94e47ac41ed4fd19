#include "launcher/bench/bench_report.h"

#include <fmt/format.h>

namespace coe {
namespace {

void say_device(BenchReport& report, DType dtype) {
  const std::string device = cuda_device_name(0);
  report.text += fmt::format("  on {}, {}\n", device, name_of(dtype));
  report.numbers["device"] = device;
  report.numbers["dtype"] = name_of(dtype);
}

}  // namespace

void BenchReport::put(std::string_view name, const Spread& spread) {
  numbers[name] = spread.median;
  numbers[fmt::format("{}_min", name)] = spread.min;
  numbers[fmt::format("{}_max", name)] = spread.max;
}

BenchReport begin_report(std::string_view what, const Benchmark& benchmark, int ranks) {
  const LayerConfig& layer = benchmark.layer;
  BenchReport report;
  const std::string threads = benchmark.threads > 1 ? fmt::format(" of {} threads", benchmark.threads) : "";
  report.text =
      fmt::format("{} of {}, {} ranks{} x {} tokens, D {}, F {}, {}; medians of {} steps (min to max)\n", what,
                  model_name(layer), ranks, threads, benchmark.tokens, layer.hidden, layer.expert_hidden,
                  benchmark.forward_only ? "forward" : "forward + backward", benchmark.steps);
  report.numbers = {{"benchmark", what},
                    {"model", model_name(layer)},
                    {"ranks", ranks},
                    {"tokens", benchmark.tokens},
                    {"sequence", benchmark.sequence},
                    {"hidden", layer.hidden},
                    {"expert_hidden", layer.expert_hidden},
                    {"experts", layer.experts},
                    {"top_k", layer.top_k},
                    {"iterations", layer.iterations},
                    {"skew", benchmark.skew},
                    {"forward_only", benchmark.forward_only},
                    {"threads", benchmark.threads},
                    {"steps", benchmark.steps}};
  if (benchmark.device == Device::Kind::kCuda) say_device(report, benchmark.dtype);
  return report;
}

std::string text_of(const Spread& spread, int digits) {
  return fmt::format("{0:.{3}f} ({1:.{3}f} to {2:.{3}f})", spread.median, spread.min, spread.max, digits);
}

}  // namespace coe
