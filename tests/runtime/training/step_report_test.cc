#include "runtime/training/step_report.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

TEST(StepReport, LoadIsMeasuredAgainstTheMean) {
  const RoutingReport report{.load = {6, 0, 2, 0}, .tokens = 4};
  EXPECT_DOUBLE_EQ(report.load_max_over_mean(), 3.0);  // 6 against a mean of 2
  EXPECT_EQ(report.idle_experts(), 2);
  EXPECT_DOUBLE_EQ(report.sparsity(), 0.5);  // 8 of 16 pairs
}

TEST(StepReport, AnIterationInWhichNothingWasChosenIsLegal) {
  const RoutingReport report{.load = {0, 0}, .tokens = 3};
  EXPECT_EQ(report.load_max_over_mean(), 0);
  EXPECT_EQ(report.idle_experts(), 2);
  EXPECT_EQ(report.sparsity(), 1);
  EXPECT_EQ(RoutingReport{}.sparsity(), 0);
}

TEST(StepReport, SpeedIsTokensOverSeconds) {
  StepReport report;
  EXPECT_EQ(report.tokens_per_second(), 0);
  report.tokens = 300;
  report.seconds = 0.5;
  EXPECT_DOUBLE_EQ(report.tokens_per_second(), 600);
}

}  // namespace
}  // namespace coe
