#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/bench/bench_exchange.h"

namespace coe {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ReportExchange, SaysEveryWayItsRatioAndTheBytes) {
  ExchangeBenchmarkResult result;
  result.one_copy.total_ms = {2, 1, 3};
  result.bound.emplace().total = {0.5, 0.25, 0.75};
  result.reference.total = {3, 2, 4};
  result.partial_sums.total = {1.5, 1.25, 1.75};
  result.bytes_copied = 8e6;
  result.bytes_sent = 4e6;
  result.partial_sums_bytes_sent = 3e6;
  result.messages_sent = 12;
  result.bytes_expected = {5e6, 2e6};
  const BenchReport report = report_exchange({}, result, 2);
  EXPECT_EQ(report.numbers.at("one_copy_ms"), 2.0);
  EXPECT_EQ(report.numbers.at("bound_fraction_min"), 0.25);
  EXPECT_EQ(report.numbers.at("reference_ratio_max"), 4.0);
  EXPECT_EQ(report.numbers.at("partial_sums_ratio"), 1.5);
  EXPECT_EQ(report.numbers.at("copied_gb_per_s"), 4.0);
  EXPECT_EQ(report.numbers.at("bytes_once_per_rank_expected"), 2e6);
  EXPECT_THAT(report.text, HasSubstr("8.00 MB copied at 4.00 GB/s by all ranks"));
  EXPECT_THAT(report.text, HasSubstr("partial sums sent 3.00 MB"));
  EXPECT_THAT(report.text, HasSubstr("12 messages by all ranks"));
  EXPECT_EQ(report.numbers.at("messages_sent"), 12.0);
  EXPECT_THAT(report.text, Not(HasSubstr("MPI_Alltoallv")));
  EXPECT_FALSE(report.numbers.contains("alltoallv_ratio"));
}

TEST(ReportExchange, SkewedTrafficHasNoBytesByChance) {
  Benchmark benchmark;
  benchmark.skew = 1;
  ExchangeBenchmarkResult result;
  result.one_copy.total_ms = {1, 1, 1};
  result.alltoallv.emplace();
  const BenchReport report = report_exchange(benchmark, result, 2);
  EXPECT_FALSE(report.numbers.contains("bytes_expected"));
  EXPECT_TRUE(report.numbers.contains("alltoallv_ratio"));
  EXPECT_FALSE(report.numbers.contains("bound_fraction"));
  EXPECT_THAT(report.text, HasSubstr("no copy bound: not every rank can copy"));
}

}  // namespace
}  // namespace coe
