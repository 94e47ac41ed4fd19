#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace coe {

inline constexpr const char* kManifestFile = "manifest.json";

/// Where the checkpoint after `step` steps stands: directory/step_00001000.
std::filesystem::path checkpoint_path(const std::filesystem::path& directory, std::int64_t step);

/// The checkpoint that `place` means: itself where it is one, else the one of the most steps in it, or in its folder
/// "checkpoints" (then `place` is a run's directory). Incomplete ones do not count. Nothing where there is none.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& place);

/// A directory in which a checkpoint is written before it is moved to its place; removed with its files unless it was.
/// All methods throw kSystem where the system refuses.
class UnfinishedCheckpoint {
 public:
  /// Makes the directory of `place` and, beside it, the empty one of this; removes what a killed run left of such.
  explicit UnfinishedCheckpoint(std::filesystem::path place);
  ~UnfinishedCheckpoint();
  UnfinishedCheckpoint(const UnfinishedCheckpoint&) = delete;
  UnfinishedCheckpoint& operator=(const UnfinishedCheckpoint&) = delete;

  /// Where the unfinished files of the checkpoint at `place` stand.
  static std::filesystem::path path_for(const std::filesystem::path& place);
  /// Moves everything to its place in one step, replacing a checkpoint that stands there. A kill at any moment leaves
  /// the old one or the new one.
  void publish();

 private:
  std::filesystem::path place_;
};

/// Removes all checkpoints of `directory` but the `kept` of the most steps and `newest`.
void remove_old_checkpoints(const std::filesystem::path& directory, std::int64_t kept,
                            const std::filesystem::path& newest);

}  // namespace coe
