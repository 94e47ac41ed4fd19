#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/bench/bench_layer.h"

namespace coe {
namespace {

using testing::HasSubstr;

LayerBenchmarkResult some_result() {
  LayerBenchmarkResult result;
  result.step_ms = {20, 19, 25};
  result.gflops = 50;
  result.gemm_peak_gflops = 100;
  result.peak_fraction = 0.5;
  result.bytes_exchanged = 3000000;
  result.minor_faults = 7;
  result.size_hint = 4 << 20;
  result.memory_growth = 3 << 20;
  result.times[Part::kExperts] = 0.015;
  return result;
}

TEST(ReportLayer, SaysTimeRateDemandsAndParts) {
  LayerBenchmarkResult result = some_result();
  result.allocations = AllocationCounts{1, 2, 3};
  const BenchReport report = report_layer({}, result, 2);
  EXPECT_THAT(report.text, HasSubstr("20.00 (19.00 to 25.00) ms"));
  EXPECT_THAT(report.text, HasSubstr("0.500 of the GEMM peak of 100.00"));
  EXPECT_THAT(report.text, HasSubstr("3.00 MiB more on all ranks"));
  EXPECT_THAT(report.text, HasSubstr("0.750 of the size hint"));
  EXPECT_EQ(report.numbers.at("large_library_allocations_per_step"), 2);
  EXPECT_EQ(report.numbers.at("size_hint_bytes"), 4 << 20);
}

TEST(ReportLayer, AllocationsThatCannotBeCountedAreNull) {
  const BenchReport report = report_layer({}, some_result(), 2);
  EXPECT_TRUE(report.numbers.at("our_allocations_per_step").is_null());
}

}  // namespace
}  // namespace coe
