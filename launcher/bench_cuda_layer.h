#pragma once

#include <cstdint>
#include <string>

#include "comm/transport.h"
#include "kernels/tensor.h"
#include "launcher/benchmark.h"

namespace coe {

/// Medians over the measured steps of one rank, by events on the device.
struct CudaLayerResult {
  double step_ms = 0, step_ms_min = 0, step_ms_max = 0;
  double forward_ms = 0;
  double experts_forward_ms = 0;  ///< the rest of the forward is gate, plan, dispatch and combine
  std::int64_t routed_bytes = 0;  ///< that dispatch and combine of a forward read and write at least
  double gflops = 0;              ///< of the experts' products alone, as in LayerBenchmarkResult
};

/// One chain layer in bf16 or fp32 on random tokens and weights, alone on the CUDA device. Throws kBadInput without
/// one.
CudaLayerResult bench_cuda_layer(const Benchmark& benchmark, DType dtype, Transport& world);

/// Times it and prints; `json` gets the numbers unless it is empty.
void run_cuda_layer_bench(const Benchmark& benchmark, DType dtype, const std::string& json);

}  // namespace coe
