#pragma once

#include <cstdint>
#include <vector>

#include "kernels/memory/buffer.h"
#include "kernels/memory/stream.h"
#include "kernels/routing/buckets.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// A Placement as kernels read it, in the memory of a stream's device. Views the stream.
class StreamPlacement {
 public:
  StreamPlacement(const Placement& placement, const Stream& stream);

  const cuda::Holders& holders() const { return holders_; }
  /// int32 [R + 1] on the host: where each rank's experts begin, by (rank, local order).
  Tensor first() const { return first_; }

 private:
  std::vector<std::int32_t> numbers_;
  Buffer memory_;
  Tensor first_;
  cuda::Holders holders_;
};

}  // namespace coe
