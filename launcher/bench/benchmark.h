#pragma once

#include <cstdint>

#include "kernels/memory/tensor.h"
#include "runtime/config/config.h"

namespace coe {

/// What the benchmarks of `coe bench` run on; each reads what concerns it.
struct Benchmark {
  LayerConfig layer;
  std::int64_t tokens = 0;    ///< of each rank; a multiple of `sequence`
  std::int64_t sequence = 1;  ///< tokens of a sequence
  double skew = 0;            ///< the e-th most wanted expert is wanted in proportion to e^-skew; 0: all alike
  bool forward_only = false;
  ExchangeOrder order = ExchangeOrder::kExact;
  int threads = 1;  ///< of each rank, for its experts
  Device::Kind device = Device::Kind::kCpu;
  DType dtype = DType::kF32;  ///< kBF16 on a CUDA device alone
  int warmup_steps = 2;
  int steps = 9;
};

}  // namespace coe
