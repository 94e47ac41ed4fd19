#pragma once

#include "comm/transport.h"
#include "launcher/bench/bench_report.h"
#include "launcher/bench/benchmark.h"

namespace coe {

/// Rates are of one rank, the mean of all.
struct ExpertsBenchmarkResult {
  Spread forward_ms, backward_ms;         ///< no backward: zeros
  Spread gflops;                          ///< of the products alone: 6 D F a row forward, 12 D F backward
  double gemm_peak_gflops = 0;            ///< of the same run, all ranks at once
  double peak_fraction = 0;               ///< of the median
  double rows = 0;                        ///< of one rank, the mean of all
  double fewest_rows = 0, most_rows = 0;  ///< of any expert
};

/// One iteration's expert products on random rows, as many for each expert as random routing brings. Collective.
ExpertsBenchmarkResult bench_experts(const Benchmark& benchmark, Transport& world);

BenchReport report_experts(const Benchmark& benchmark, const ExpertsBenchmarkResult& result, int ranks);

}  // namespace coe
