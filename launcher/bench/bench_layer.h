#pragma once

#include <cstdint>
#include <optional>

#include "comm/transport.h"
#include "launcher/bench/allocation_counter.h"
#include "launcher/bench/bench_report.h"
#include "launcher/bench/benchmark.h"
#include "runtime/layer/part_times.h"

namespace coe {

/// Rates and times are of one rank, the mean of all; bytes and counts are of all ranks together.
struct LayerBenchmarkResult {
  Spread step_ms;
  double gflops = 0;            ///< of the experts' products alone: 6 (forward) or 18 T K C D F a step, in the median
  double gemm_peak_gflops = 0;  ///< of the same run, all ranks at once
  double peak_fraction = 0;
  std::int64_t bytes_exchanged = 0;             ///< a step
  std::optional<AllocationCounts> allocations;  ///< a step, medians; nothing where they cannot be counted
  double minor_faults = 0;                      ///< a step, median
  std::int64_t size_hint = 0;                   ///< bytes; what the buffers were made for before the first step
  std::int64_t memory_growth = 0;  ///< resident bytes, windows counted once, from when weights, their gradients and the
                                   ///< input are there and the layer is not until after its third step
  PartTimes times;                 ///< of the median step, mean over ranks
};

/// One chain layer on random tokens and weights, forward and backward, over all ranks, which must be processes for
/// memory_growth to mean something. Collective.
LayerBenchmarkResult bench_layer(const Benchmark& benchmark, Transport& world);

BenchReport report_layer(const Benchmark& benchmark, const LayerBenchmarkResult& result, int ranks);

}  // namespace coe
