#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/group.h"

namespace coe {

/// How long ranks wait for one that works on a disk, and who is told of it.
struct DiskPatience {
  std::chrono::milliseconds deadline{600'000};            ///< without a sign of its work
  std::function<void(const std::string& line)> say = {};  ///< rank 0's: what a user should know; may be empty
};

/// What a rank at work on a disk is called with.
class WorkSigns {
 public:
  virtual ~WorkSigns() = default;
  /// So many bytes more are written or read: the others hear now and then that this rank works. Between two calls the
  /// work must not take as long as the patience.
  virtual void did(std::uint64_t bytes) = 0;
};

using DiskWork = std::function<std::string(WorkSigns&)>;
using DiskConclusion = std::function<std::string(std::vector<std::string> results, WorkSigns&)>;

/// Runs `work` on every rank at once, then `conclude` on rank 0 with what each rank's returned; every rank gets what
/// that returns. Where one of them threw, every rank throws the error of the lowest such rank. However long the work
/// takes, nobody gives up waiting while those that work say so; else it throws what wait() throws. Collective.
std::string work_on_disk(Group group, const DiskPatience& patience, const Phase& phase, const DiskWork& work,
                         const DiskConclusion& conclude);

}  // namespace coe
