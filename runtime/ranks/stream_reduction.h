#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "comm/stream_meeting.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Sums and gathers numbers over ranks that see one another's memory on devices, each in one meeting: a rank sums its
/// own part of all, in rank order, and reads the parts of others. Views the stream.
class StreamReduction {
 public:
  /// For at most so many numbers at a time. Collective. Throws kBadInput where the group's transport does not reach
  /// peers on the device.
  StreamReduction(const Group& group, std::int64_t numbers, const Stream& stream);

  /// values fp32 [R n]: this rank's n become their sums over all ranks; done when the stream is. Collective. Throws
  /// kPeer where a rank does not come.
  void reduce_scatter_sum(const Tensor& values, const Phase& phase);
  /// Every rank's mine fp32 [n] in all [R n], in rank order; `mine` may be this rank's own part of it. The same.
  void all_gather(const Tensor& mine, const Tensor& all, const Phase& phase);

 private:
  static constexpr std::size_t kHalves = 2;

  /// Puts `values` where all see them, in one half of the window, and waits until everybody has: the other half is
  /// nobody's to read then. Returns which half.
  std::size_t show(const Tensor& values, const Phase& phase);
  std::byte* part_of(int rank, std::size_t half) const { return window_->of(rank) + half * half_bytes_; }

  Group group_;
  const Stream* stream_;
  StreamMeeting meeting_;
  std::size_t half_bytes_;
  std::unique_ptr<Window> window_;
  std::vector<std::int64_t> addresses_;
  Buffer address_memory_;
  std::array<Tensor, kHalves> parts_;  ///< int64 [R], where all ranks' parts begin
  std::size_t shown_ = 0;
};

}  // namespace coe
