#pragma once

#include <cstddef>
#include <vector>

namespace coe::emulator {

/// One operation that a rank of a communicator posted.
struct NcclCall {
  enum class Kind { kSend, kReceive, kAllGather, kReduceScatter };

  Kind kind;
  int rank;
  int peer;           ///< -1 for a collective operation
  std::size_t bytes;  ///< the message's; what this rank gives to a gather, gets of a sum
  int group;          ///< which of the rank's groups on its communicator, from 0

  bool operator==(const NcclCall&) const = default;
};

/// What was posted in this process since the last call: communicator by communicator in the order of their unique ids,
/// rank by rank, each rank's in its order. Refused operations are not among them.
std::vector<NcclCall> take_nccl_calls();

/// Communicators (one a rank) that were neither destroyed nor aborted.
int live_nccl_communicators();

}  // namespace coe::emulator
