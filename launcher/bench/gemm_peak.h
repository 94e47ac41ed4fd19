#pragma once

#include <cstdint>

#include "comm/collectives.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// The rate of matrix products that this machine reaches with all ranks busy: the best of all linked libraries over
/// fp32 2048 x 2048 x 2048 and 1024 x 176 x 256, on one thread a rank, times the threads that a rank has. Measured a
/// little at a time, between the steps of a benchmark.
class GemmPeak {
 public:
  explicit GemmPeak(Group group, int threads = 1);
  /// Runs every product once on all ranks at once. Collective.
  void measure();
  /// GFLOP/s of the best product so far, the mean of the ranks. Collective.
  double gflops() const;

 private:
  Group group_;
  int threads_;
  Buffer memory_;
  Tensor x_, w_, y_;
  double best_ = 0;
};

}  // namespace coe
