#pragma once

#include <cstdint>
#include <filesystem>

#include "comm/collectives.h"
#include "runtime/checkpoint_directory.h"
#include "runtime/config.h"
#include "runtime/parameters.h"
#include "runtime/training_state.h"

namespace coe {

/// Where a run keeps its checkpoints, and how many.
struct CheckpointPlace {
  std::filesystem::path directory;
  std::int64_t kept = 2;
};

/// Writes directory/step_N: the replicated parameters from rank 0, the experts from each rank of the first
/// expert-parallel group (`expert_parallel` ranks; 0: all), under their global names, and a manifest. It appears in one
/// step when everything is on disk; then old ones are removed. Returns its path. Collective; where any rank fails,
/// every rank throws that rank's error (kSystem) and nothing stays.
std::filesystem::path save_checkpoint(const CheckpointPlace& place, const TrainingState& state,
                                      const ModelConfig& model, const Parameters& parameters, Group world,
                                      std::int64_t expert_parallel);

/// Reads the values of all of this rank's parameters, and the moments where they are trained, from a checkpoint that
/// any number of ranks wrote. Collective. Every rank throws kBadInput, one line, where the checkpoint is of another
/// model, or is damaged: the files that a rank reads are checked against the manifest, all of them by rank 0.
TrainingState load_checkpoint(const std::filesystem::path& checkpoint, const ModelConfig& model, Parameters& parameters,
                              Group world);

}  // namespace coe
