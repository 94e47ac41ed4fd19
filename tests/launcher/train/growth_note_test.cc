#include "launcher/train/growth_note.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

StepReport report_of(std::int64_t step, std::int64_t growths) {
  StepReport report;
  report.step = step;
  report.buffer_growths = growths;
  return report;
}

TEST(GrowthNote, TheFirstStepsOfARunMayGrow) {
  GrowthNote note;
  // A resumed run makes its buffers anew, wherever it goes on.
  for (int step = 501; step < 501 + GrowthNote::kSettlingSteps; ++step) EXPECT_EQ(note.of(report_of(step, 12)), "");
}

TEST(GrowthNote, WhatGoesOnGrowingIsTold) {
  GrowthNote note;
  for (int step = 1; step <= GrowthNote::kSettlingSteps; ++step) note.of(report_of(step, 0));
  EXPECT_EQ(note.of(report_of(11, 0)), "");
  EXPECT_EQ(note.of(report_of(12, 3)),
            "step 12: 3 buffers were too small and have grown: ranks take more rows than in the steps before");
}

}  // namespace
}  // namespace coe
