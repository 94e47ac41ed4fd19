#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace coe {

/// Where a run keeps what it writes.
struct RunDirectory {
  std::filesystem::path root;

  std::filesystem::path config() const { return root / "config.toml"; }
  std::filesystem::path metrics() const { return root / "metrics.jsonl"; }
  std::filesystem::path picture() const { return root / "loss.svg"; }
  std::filesystem::path checkpoints() const { return root / "checkpoints"; }
  /// What each rank did last, while the run lasts and after an abnormal end: a folder for each job, so that none takes
  /// the failure of one that had hung here for its own.
  std::filesystem::path flight() const { return root / "flight"; }
  /// Whether a run has begun here.
  bool holds_run() const;
};

/// The folder of the run that the checkpoint at `place` belongs to, or that is at `place` itself, by the config.toml in
/// it; nothing where there is none.
std::optional<std::filesystem::path> run_of(const std::filesystem::path& place);

/// Throws kBadInput, naming what `asked` for it, where `folder` can neither be written to nor made. Leaves nothing
/// behind.
void check_writable_folder(const std::filesystem::path& folder, std::string_view asked);

/// Throws kBadInput where a run cannot write to `directory`, and where one has begun there unless `resume`. Leaves
/// nothing behind.
void check_run_directory(const RunDirectory& directory, bool resume);

}  // namespace coe
