#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "runtime/config/config.h"
#include "runtime/layer/part_times.h"
#include "runtime/training/step_report.h"

namespace coe {

/// What metrics.jsonl keeps of one iteration of one layer.
struct RoutingMetrics {
  int layer = 0, iteration = 0;
  double load_max_over_mean = 0;
  int idle_experts = 0;
  std::optional<std::int64_t> dropped{};   ///< of a layer whose experts have a capacity
  std::optional<std::int64_t> rerouted{};  ///< of one that reroutes
  std::optional<double> sparsity{};        ///< of one with the ReLU router; elsewhere it says no more than K and N
  std::int64_t bytes_exchanged = 0;

  bool operator==(const RoutingMetrics&) const = default;
};

/// One line of metrics.jsonl. The line of step 0 holds the validation loss before the first step and nothing else.
struct StepMetrics {
  std::int64_t step = 0;
  std::optional<double> validation_loss{};  ///< after this step, nats per token
  std::string skipped{};                    ///< why the step was skipped, which then has no loss; else empty
  double loss = 0, balance_loss = 0, gradient_norm = 0, learning_rate = 0;
  std::optional<double> lambda{};  ///< of the ReLU router
  double seconds = 0;
  std::int64_t tokens = 0, bytes_exchanged = 0;
  PartTimes times{};
  std::vector<RoutingMetrics> routing{};
};

/// What `report` leaves in the file: of the keys that only some layers have, those that mean something for `layer`.
StepMetrics make_step_metrics(const StepReport& report, const LayerConfig& layer,
                              std::optional<double> validation_loss);

/// Writes a run's metrics.jsonl, one JSON object a step, each on disk before write() returns to the caller.
class MetricsWriter {
 public:
  /// Opens `file` to append to it. Lines of steps beyond `last_step` and a half-written last line are cut first, so
  /// that a resumed run writes no step twice; -1 cuts all. Throws kSystem where the file cannot be written.
  MetricsWriter(const std::filesystem::path& file, std::int64_t last_step);
  void write(const StepMetrics& metrics);

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

/// All lines of a metrics.jsonl in order; a half-written last one is left out. Throws kBadInput for a file that cannot
/// be read and for a line that is no metrics (file:line).
std::vector<StepMetrics> read_metrics(const std::filesystem::path& file);

}  // namespace coe
