#pragma once

#include "comm/transport.h"
#include "launcher/bench/device_bounds.h"

namespace coe {

/// Of one rank, by events on the device.
struct CudaLayerResult {
  Spread step_ms, forward_ms;
  Spread experts_forward_ms;  ///< the rest of the forward is gate, plan, dispatch and combine
  Spread gflops;              ///< of the experts' products alone, as in LayerBenchmarkResult
  Spread routing_gb_per_s;    ///< of that rest of the forward: what it reads and writes at least, by its time
  DeviceRates bounds;
};

/// One chain layer on random tokens and weights, alone on the CUDA device, in turns with what bounds it. Throws
/// kBadInput without a device.
CudaLayerResult bench_cuda_layer(const Benchmark& benchmark, Transport& world);

BenchReport report_cuda_layer(const Benchmark& benchmark, const CudaLayerResult& result);

}  // namespace coe
