#pragma once

#include <cstdint>
#include <optional>

#include "comm/group.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "runtime/ranks/stream_reduction.h"

namespace coe {

/// Sums and gathers of numbers of which every rank of a group has a piece, on the way that their devices have: between
/// hosts, in memory of devices that all see, or by messages. Sums are taken in ascending rank order, but NCCL's, which
/// has an order of its own. Views the group's and the stream.
class PieceCollectives {
 public:
  /// For at most so many numbers at a time.
  PieceCollectives(const Group& group, std::int64_t numbers, const Stream& stream)
      : group_(group), numbers_(numbers), stream_(&stream) {}

  /// values fp32 [R n]: this rank's n, the pieces being in rank order, become their sums over all ranks; what the
  /// others then hold means nothing. Done when the stream is. Collective; throws what wait() throws.
  void reduce_scatter_sum(const Tensor& values, const Phase& phase);
  /// Every rank's mine fp32 [n] in all [R n]; `mine` may be this rank's own piece of it. The same.
  void all_gather(const Tensor& mine, const Tensor& all, const Phase& phase);

 private:
  StreamReduction& mapped();

  Group group_;
  std::int64_t numbers_;
  const Stream* stream_;
  std::optional<StreamReduction> mapped_;  ///< made where it is needed
};

}  // namespace coe
