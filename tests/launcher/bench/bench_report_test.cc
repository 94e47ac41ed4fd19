#include "launcher/bench/bench_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coe {
namespace {

TEST(BenchReport, PutsASpreadUnderThreeNames) {
  BenchReport report;
  report.put("step_ms", {2, 1, 3});
  EXPECT_EQ(report.numbers.at("step_ms"), 2.0);
  EXPECT_EQ(report.numbers.at("step_ms_min"), 1.0);
  EXPECT_EQ(report.numbers.at("step_ms_max"), 3.0);
}

TEST(BenchReport, BeginsWithWhatWasMeasured) {
  Benchmark benchmark;
  benchmark.tokens = 128;
  benchmark.steps = 9;
  const BenchReport report = begin_report("layer", benchmark, 2);
  EXPECT_THAT(report.text, testing::StartsWith("layer"));
  EXPECT_THAT(report.text, testing::HasSubstr("2 ranks x 128 tokens"));
  EXPECT_THAT(report.text, testing::HasSubstr("medians of 9 steps"));
  EXPECT_EQ(report.numbers.at("ranks"), 2);
  benchmark.threads = 3;
  EXPECT_THAT(begin_report("layer", benchmark, 2).text, testing::HasSubstr("2 ranks of 3 threads x 128 tokens"));
}

TEST(TextOf, ASpreadIsItsMedianAndItsEnds) { EXPECT_EQ(text_of({1.234, 1, 2.5}, 2), "1.23 (1.00 to 2.50)"); }

}  // namespace
}  // namespace coe
