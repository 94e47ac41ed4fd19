#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "comm/transport.h"
#include "launcher/run_directory.h"
#include "launcher/train/run_lock.h"

namespace coe {

/// Whether a run goes on from its newest checkpoint.
enum class Resume { kNo, kYes, kAuto };  ///< kAuto: from the start where there is none

/// A run's folder in the hands of one job: rank 0 holds its lock, and all ranks see it.
class RunFolder {
 public:
  /// Makes the folder where it is missing. Throws kBadInput, on all ranks alike and leaving nothing behind, where it
  /// cannot be written to, another process holds it, a run has begun there and is not to be resumed, there is no
  /// checkpoint to resume from, or a rank does not see the folder that rank 0 holds. Collective.
  RunFolder(const RunDirectory& directory, Resume resume, Transport& world);
  /// Gives the folder up, and removes what was made and is empty.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Where this job's flight files go, and no other's.
  std::filesystem::path flight() const { return directory_.flight() / generation_; }
  /// Throws kSystem, on all ranks alike, where another job has taken the folder over. Collective.
  void require_held() const;

 private:
  void open(Resume resume);

  void give_up();

  RunDirectory directory_;
  Transport& world_;
  std::filesystem::path made_;   ///< the topmost folder that was missing; empty without one
  std::optional<RunLock> lock_;  ///< rank 0's
  std::string generation_;       ///< a word that no other job has had here
};

}  // namespace coe
