#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/config/config.h"
#include "runtime/training/metrics.h"

namespace coe {

/// What a run's folder says of it.
struct RecordedRun {
  std::string model;  ///< "CoE-2(4/64)"
  LayerConfig layer;
  std::vector<StepMetrics> lines;  ///< none where it has just begun
};

/// Throws kBadInput for a folder that holds no run, and where config.toml or metrics.jsonl is none.
RecordedRun read_run(const std::filesystem::path& directory);

}  // namespace coe
