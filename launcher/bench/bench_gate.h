#pragma once

#include "comm/transport.h"
#include "launcher/bench/bench_report.h"
#include "launcher/bench/benchmark.h"

namespace coe {

/// Milliseconds from the common start until the last rank was done.
struct GateBenchmarkResult {
  Spread gate_ms, plan_ms, total_ms;
  Spread read_ms;         ///< x read once, by all ranks at once, in turns with the others
  double product_ms = 0;  ///< 2 T D N flops at the GEMM peak of the same run
  double gemm_peak_gflops = 0;
  double bound_ms = 0;        ///< the larger of the two
  double bound_fraction = 0;  ///< bound / median
};

/// Gate, router and plan of one iteration on random tokens and cold caches. Collective.
GateBenchmarkResult bench_gate(const Benchmark& benchmark, Transport& world);

BenchReport report_gate(const Benchmark& benchmark, const GateBenchmarkResult& result, int ranks);

}  // namespace coe
