#pragma once

#include <cstdint>

#include "comm/group.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "runtime/config/config.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// How many rows a rank's windows and experts have room for on a device, where no host counts rows before they travel.
/// All choices of all ranks could go to one, which at 8 ranks is 8 times what an even share is; there is room for a
/// multiple of that share instead. What gets more gives no result, and is done again with more room.
class RowRoom {
 public:
  /// `slack` times an even share; 0: for all that there can be. Views the stream.
  RowRoom(double slack, const Stream& stream);

  /// Rows that any rank has room for in a pass over so many tokens of the group.
  std::int64_t rows(const LayerConfig& config, const Placement& placement, std::int64_t tokens) const;
  /// PlannedRows::overflow.
  const Tensor& overflow() const { return overflow_; }
  /// Whether more came than there was room for, on any rank of the world, since it was last asked. Then there is twice
  /// the room. Collective; waits for the stream.
  bool grow(const Group& world);
  /// Room for all from now on: nothing is done again.
  void hold_all();

 private:
  double slack_;
  const Stream* stream_;
  Buffer memory_;
  Tensor overflow_;  ///< int32 [1] on a device; empty where there is room for all
};

}  // namespace coe
