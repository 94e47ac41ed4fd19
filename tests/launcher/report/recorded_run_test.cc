#include "launcher/report/recorded_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/bad_input.h"
#include "tests/launcher/scratch.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

TEST(RecordedRun, ARunThatHasJustBegunHasNoLines) {
  const Scratch scratch;
  scratch.write("config.toml", kTinyConfig);
  EXPECT_EQ(read_run(scratch.path()).model, "CoE-2(2/4)");
  EXPECT_TRUE(read_run(scratch.path()).lines.empty());
  MetricsWriter(scratch / "metrics.jsonl", -1).write({.step = 0, .validation_loss = 5.5});
  EXPECT_EQ(read_run(scratch.path()).lines.size(), 1U);
}

TEST(RecordedRun, AFolderWithoutARunIsBadInput) {
  const Scratch scratch;
  EXPECT_THAT(bad_input([&] { read_run(scratch.path()); }), testing::HasSubstr("holds no run"));
}

}  // namespace
}  // namespace coe
