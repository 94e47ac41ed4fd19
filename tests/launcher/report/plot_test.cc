#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/training/metrics.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

class Plot : public ::testing::Test {
 protected:
  Plot() {
    scratch_.write("run/config.toml", kTinyConfig);
    MetricsWriter(scratch_ / "run/metrics.jsonl", -1).write({.step = 1, .validation_loss = 5.25, .loss = 5.5});
  }

  Scratch scratch_;
};

TEST_F(Plot, ThePictureStandsWhereItIsAskedFor) {
  const Outcome outcome = run_program(scratch_, {"plot", "run", "--out", "both.svg"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  if (outcome.out.empty()) GTEST_SKIP() << outcome.err;
  EXPECT_EQ(outcome.out, "both.svg\n");
  EXPECT_THAT(read_text(scratch_ / "both.svg"), HasSubstr("<svg"));
}

TEST_F(Plot, APictureThatCannotBeDrawnIsAnError) {
  const Outcome outcome = run_program(scratch_, {"plot", "run", "--out", "nowhere/both.svg"});
  if (outcome.code == 0) GTEST_SKIP() << outcome.err;
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("nowhere/both.svg"));
}

}  // namespace
}  // namespace coe
