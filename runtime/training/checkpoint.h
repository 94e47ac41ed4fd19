#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "runtime/config/config.h"
#include "runtime/model/parameters.h"
#include "runtime/ranks/disk_work.h"
#include "runtime/training/checkpoint_directory.h"
#include "runtime/training/run_facts.h"
#include "runtime/training/training_state.h"

namespace coe {

/// Where a run keeps its checkpoints, how many, and how long ranks wait for one that writes or reads them.
struct CheckpointPlace {
  std::filesystem::path directory;
  std::int64_t kept = 2;
  DiskPatience patience = {};
};

/// Writes directory/step_N: the replicated parameters from rank 0, the experts from each rank of the first
/// expert-parallel group (`expert_parallel` ranks; 0: all), or where their state lies in pieces a part from each of the
/// ranks that hold them (of the experts' these are `replicas`), under their global names, and a manifest: who reads it
/// need not know how state was kept. It appears in one step when everything is on disk; then old ones are removed, and
/// where one cannot be, that is only said. Returns its path. Collective; where any rank fails, every rank throws that
/// rank's error (kSystem) and nothing stays.
std::filesystem::path save_checkpoint(const CheckpointPlace& place, const TrainingState& state,
                                      const ModelConfig& model, const Parameters& parameters, Group world,
                                      std::int64_t expert_parallel, const Group& replicas = {});

/// A checkpoint that was loaded.
struct FoundCheckpoint {
  std::filesystem::path path;
  TrainingState state;
  std::vector<FactChange> changes;  ///< keys of the model that have another value now, none of which concerns weights
  std::vector<std::string> damage;  ///< a line for each newer one: file, tensor, what was done instead
};

/// What becomes of a damaged checkpoint that is passed over.
enum class Damaged { kLeave, kSetAside };

/// Reads the values of all of this rank's parameters, and the moments where they are trained, from the newest of the
/// checkpoints that `place` means (checkpoints_of) that is not damaged, whatever number of ranks wrote it. Every byte
/// is checked by some rank, those that a rank uses by that rank too. Nothing where there has been no checkpoint.
/// Collective; every rank throws kBadInput, one line, where the checkpoint is of another model, and where all are
/// damaged or were set aside before; kSystem where any rank cannot read a file that is there: that is no damage.
std::optional<FoundCheckpoint> load_checkpoint(const std::filesystem::path& place, Damaged damaged,
                                               const ModelConfig& model, Parameters& parameters, Group world,
                                               const DiskPatience& patience = {});

}  // namespace coe
