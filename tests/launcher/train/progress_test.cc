#include "launcher/train/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace coe {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

StepReport report_of(std::int64_t step) {
  StepReport report;
  report.step = step;
  report.loss = 2.5;
  report.gradient_norm = 0.5;
  report.seconds = 0.5;
  report.tokens = 100;
  return report;
}

TEST(Progress, WithoutATerminalTheFirstAndTheLastStepAreLines) {
  ::testing::internal::CaptureStderr();
  Progress progress(0, 3, false);
  for (std::int64_t step = 1; step <= 3; ++step) progress.show(report_of(step));
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("step 1/3  loss 2.5000  gradient norm 0.500  200 tokens/s"));
  EXPECT_THAT(text, Not(HasSubstr("step 2/3")));
  EXPECT_THAT(text, HasSubstr("step 3/3"));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
}

TEST(Progress, OnATerminalABarGrowsInPlace) {
  ::testing::internal::CaptureStderr();
  Progress progress(0, 2, true);
  progress.show(report_of(1));
  progress.say("a sentence");
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("\r\033[K1/2 [===============>              ] loss 2.500"));
  EXPECT_THAT(text, HasSubstr("\r\033[Ka sentence\n"));
}

}  // namespace
}  // namespace coe
