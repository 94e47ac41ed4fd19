#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "comm/group.h"
#include "comm/neighbours.h"
#include "comm/window.h"

namespace coe {

/// The ranks of a group that share memory with this one, by their numbers there and, in the same order, in the job.
struct SharingRanks {
  std::vector<int> in_group, in_job;
};

/// A Window of processes: memory behind open files, which they hand one another. On a CUDA device all ranks of the
/// group must be among `peers`, or it throws kBadInput. Collective over the group; throws kSystem where there is too
/// little memory, kPeer after the deadline.
std::unique_ptr<Window> make_shared_window(const Group& group, Neighbours& neighbours, const SharingRanks& peers,
                                           std::size_t bytes, Device device);

}  // namespace coe
