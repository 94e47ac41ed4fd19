#pragma once

#include <cstdint>
#include <vector>

#include "comm/transport.h"
#include "launcher/bench/device_bounds.h"

namespace coe {

struct CudaExpertsResult {
  Spread forward_ms, backward_ms, step_ms;    ///< by events on the device; no backward: zeros
  Spread gflops;                              ///< of the products alone: 6 D F a row forward, 12 D F backward
  std::vector<std::int64_t> rows_of_experts;  ///< [N]
  DeviceRates bounds;
};

/// One iteration's expert products on random rows in device memory, as many for each expert as random routing brings,
/// in turns with what bounds them; one rank. Throws kBadInput without a CUDA device.
CudaExpertsResult bench_cuda_experts(const Benchmark& benchmark, Transport& world);

BenchReport report_cuda_experts(const Benchmark& benchmark, const CudaExpertsResult& result);

}  // namespace coe
