#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace coe {

inline constexpr const char* kManifestFile = "manifest.json";

/// Where the checkpoint after `step` steps stands: directory/step_00001000.
std::filesystem::path checkpoint_path(const std::filesystem::path& directory, std::int64_t step);

/// Whether `place` is itself a complete checkpoint. Throws kSystem, as all that follows, where that cannot be seen.
bool is_checkpoint(const std::filesystem::path& place);

/// The checkpoints that `place` means, the one of the most steps first: itself where it is one, else those in it, or in
/// its folder "checkpoints" (then `place` is a run's directory). Neither incomplete ones nor those set aside count.
std::vector<std::filesystem::path> checkpoints_of(const std::filesystem::path& place);
/// The first of these.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& place);

/// Renames a checkpoint to "step_N.damaged", or with a number behind it where that is taken: nobody will load or remove
/// it any more. Returns the new path; throws kSystem.
std::filesystem::path set_aside(const std::filesystem::path& checkpoint);
/// The checkpoints of `directory` that were set aside.
std::vector<std::filesystem::path> set_aside_in(const std::filesystem::path& directory);

/// A directory in which a checkpoint is written before it is moved to its place; removed with its files unless it was.
/// All methods throw kSystem where the system refuses, but for what is only to be removed.
class UnfinishedCheckpoint {
 public:
  /// Makes the directory of `place` and, beside it, the empty one of this; removes what a killed run left of such, or
  /// of removing old ones.
  explicit UnfinishedCheckpoint(std::filesystem::path place);
  ~UnfinishedCheckpoint();
  UnfinishedCheckpoint(const UnfinishedCheckpoint&) = delete;
  UnfinishedCheckpoint& operator=(const UnfinishedCheckpoint&) = delete;

  /// Where the unfinished files of the checkpoint at `place` stand.
  static std::filesystem::path path_for(const std::filesystem::path& place);
  /// Moves everything to its place in one step, replacing a checkpoint that stands there. A kill at any moment leaves
  /// the old one or the new one. Returns a line about the replaced one where that cannot be removed, else nothing.
  std::string publish();

 private:
  std::filesystem::path place_;
};

/// Removes all checkpoints of `directory` but the `kept` of the most steps and `newest`; not those set aside. Returns a
/// line about the first that cannot be removed, else nothing.
std::string remove_old_checkpoints(const std::filesystem::path& directory, std::int64_t kept,
                                   const std::filesystem::path& newest);

}  // namespace coe
