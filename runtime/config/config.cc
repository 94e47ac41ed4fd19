#include "runtime/config/config.h"

#include "runtime/config/config_keys.h"

namespace coe {

namespace {

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

}  // namespace

std::chrono::milliseconds DistributedConfig::deadline() const { return milliseconds_of(deadline_seconds); }
std::chrono::milliseconds DistributedConfig::disk_deadline() const { return milliseconds_of(disk_deadline_seconds); }

std::string model_name(const LayerConfig& layer) {
  const bool relu = layer.router == RouterKind::kRelu;
  if (layer.experts == 1 && layer.iterations == 1 && !relu) return "dense";
  std::string name = layer.iterations > 1 ? "CoE-" + std::to_string(layer.iterations) : "MoE";
  if (relu) name = layer.iterations > 1 ? "ReMoE-" + name : "ReMoE";
  return name + "(" + std::to_string(layer.top_k) + "/" + std::to_string(layer.experts) + ")";
}

}  // namespace coe
