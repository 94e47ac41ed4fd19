#include "launcher/report/run_summary.h"

#include <algorithm>

#include "launcher/report/recorded_run.h"
#include "launcher/report/run_names.h"

namespace coe {
namespace {

/// Over how many last steps the load of experts is averaged.
constexpr std::size_t kRecentSteps = 50;

std::vector<double> recent_load(std::span<const StepMetrics> lines) {
  std::vector<double> sums, counts;
  for (const StepMetrics& line : lines.last(std::min(lines.size(), kRecentSteps))) {
    for (const RoutingMetrics& routing : line.routing) {
      const auto iteration = static_cast<std::size_t>(routing.iteration);
      if (iteration >= sums.size()) {
        sums.resize(iteration + 1);
        counts.resize(iteration + 1);
      }
      sums[iteration] += routing.load_max_over_mean;
      ++counts[iteration];
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] /= std::max(counts[i], 1.0);
  return sums;
}

RunSummary summary_of(const RecordedRun& run) {
  RunSummary summary;
  for (const StepMetrics& line : run.lines) {
    summary.steps = line.step;
    summary.seconds += line.seconds;
    summary.tokens += line.tokens;
    summary.bytes_exchanged += line.bytes_exchanged;
    for (std::size_t i = 0; i < kPartNames.size(); ++i) summary.times.seconds[i] += line.times.seconds[i];
    if (!line.validation_loss) continue;
    if (!summary.first_validation) summary.first_validation = line.validation_loss;
    summary.last_validation = line.validation_loss;
  }
  if (run.layer.experts > 1) summary.load = recent_load(run.lines);
  return summary;
}

}  // namespace

std::vector<RunSummary> summarise_runs(std::span<const std::filesystem::path> directories) {
  std::vector<RunSummary> runs;
  std::vector<std::string> models;
  for (const std::filesystem::path& directory : directories) {
    const RecordedRun run = read_run(directory);
    models.push_back(run.model);
    runs.push_back(summary_of(run));
  }
  const std::vector<std::string> names = run_names(models, directories);
  for (std::size_t i = 0; i < runs.size(); ++i) runs[i].name = names[i];
  return runs;
}

}  // namespace coe
