#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/transport.h"
#include "runtime/config.h"
#include "runtime/part_times.h"

namespace coe {

struct LayerBenchmark {
  LayerConfig layer;
  std::int64_t tokens = 0;  ///< of each rank; a multiple of `sequence`
  std::int64_t sequence = 0;
  bool forward_only = false;
  int warmup_steps = 2;
  int steps = 9;
};

/// Medians over the measured steps; rates and times are of one rank, bytes and
/// counts are of all ranks together.
struct LayerBenchmarkResult {
  double step_ms = 0, step_ms_min = 0, step_ms_max = 0;
  double gflops = 0;            ///< of the experts' products alone: 6 (forward) or 18 T K
                                ///< C D F per step
  double gemm_peak_gflops = 0;  ///< of the same run, all ranks at once
  double peak_fraction = 0;
  std::int64_t bytes_exchanged = 0;
  double allocations_per_step = 0, minor_faults_per_step = 0;
  PartTimes times;  ///< of the median step, mean over ranks
};

/// One chain layer on random tokens and weights, forward and backward, over all
/// ranks. Collective.
LayerBenchmarkResult bench_layer(const LayerBenchmark& benchmark, Transport& world);

}  // namespace coe
