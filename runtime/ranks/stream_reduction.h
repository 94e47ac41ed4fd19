#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/stream_meeting.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Adds numbers up over ranks that see one another's memory on devices: each rank sums a share of all of them, in rank
/// order, and gives the sums to everybody, so that all have the same bits. What a rank moves over the wire is what a
/// ring moves, 2 (R - 1) / R of the numbers each way, in two meetings. Views the stream.
class StreamReduction {
 public:
  /// For so many numbers at a time; more go piece by piece. Collective. Throws kBadInput where the group's transport
  /// does not reach peers on the device.
  StreamReduction(const Group& group, std::int64_t numbers, const Stream& stream);

  /// values fp32 [n] become their sums over all ranks, which have as many; done when the stream is. Collective. Throws
  /// kPeer where a rank does not come.
  void add_up(const Tensor& values, const Phase& phase);

 private:
  void add_up_piece(const Tensor& piece, const Phase& phase);

  Group group_;
  const Stream* stream_;
  StreamMeeting meeting_;
  std::unique_ptr<Window> window_;
  std::vector<std::int64_t> addresses_;
  Buffer address_memory_;
  Tensor parts_;  ///< int64 [R], where all ranks' parts begin
};

}  // namespace coe
