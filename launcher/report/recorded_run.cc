#include "launcher/report/recorded_run.h"

#include "kernels/memory/error.h"
#include "launcher/run_directory.h"

namespace coe {

RecordedRun read_run(const std::filesystem::path& directory) {
  const RunDirectory run{directory};
  check(run.holds_run(), directory.string(), " holds no run (config.toml and metrics.jsonl are missing)");
  const LayerConfig layer = read_config(run.config()).model.layer;
  const bool begun = std::filesystem::exists(run.metrics());
  return {model_name(layer), layer, begun ? read_metrics(run.metrics()) : std::vector<StepMetrics>()};
}

}  // namespace coe
