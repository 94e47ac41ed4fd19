#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/layer/part_times.h"

namespace coe {

/// What a finished or running run has come to, from its folder.
struct RunSummary {
  std::string name;  ///< the model's, "CoE-2(4/64)", and the folder's where that does not tell it from others
  std::optional<double> first_validation, last_validation;  ///< nats per token
  std::int64_t steps = 0;
  double seconds = 0;
  std::int64_t tokens = 0, bytes_exchanged = 0;
  PartTimes times;
  std::vector<double> load;  ///< per iteration: max/mean, averaged over layers and the last steps; none of one expert
};

/// Reads config.toml and metrics.jsonl of each folder; a run without a line yet has made no step. Throws kBadInput
/// where they do not say it.
std::vector<RunSummary> summarise_runs(std::span<const std::filesystem::path> directories);

}  // namespace coe
