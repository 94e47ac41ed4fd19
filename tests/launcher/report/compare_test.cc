#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/training/metrics.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

TEST(Compare, RunsBecomeColumns) {
  const Scratch scratch;
  for (const std::string name : {"first", "second"}) {
    scratch.write(name + "/config.toml", kTinyConfig);
    MetricsWriter(scratch / (name + "/metrics.jsonl"), -1).write({.step = 0, .validation_loss = 5.25});
  }
  const Outcome outcome = run_program(scratch, {"compare", "first", "second"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("CoE-2(2/4) first  CoE-2(2/4) second\n"));
  EXPECT_THAT(outcome.out, HasSubstr("5.2500             5.2500\n"));
}

TEST(Compare, AFolderWithoutRunIsBadInput) {
  const Scratch scratch;
  const Outcome outcome = run_program(scratch, {"compare", "nowhere"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err, "coe: nowhere holds no run (config.toml and metrics.jsonl are missing)\n");
}

}  // namespace
}  // namespace coe
