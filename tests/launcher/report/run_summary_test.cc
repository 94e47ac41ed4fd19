#include "launcher/report/run_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

#include "kernels/memory/error.h"
#include "runtime/training/metrics.h"
#include "tests/launcher/scratch.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

StepMetrics step_of(std::int64_t step, double first_load, double second_load) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.seconds = 2;
  metrics.tokens = 1000;
  metrics.bytes_exchanged = 1 << 20;
  metrics.times[Part::kExperts] = 1;
  metrics.routing = {{.layer = 0, .iteration = 0, .load_max_over_mean = first_load},
                     {.layer = 0, .iteration = 1, .load_max_over_mean = second_load},
                     {.layer = 1, .iteration = 0, .load_max_over_mean = first_load + 2},
                     {.layer = 1, .iteration = 1, .load_max_over_mean = second_load + 2}};
  return metrics;
}

TEST(RunSummary, ARunIsAddedUpFromItsFolder) {
  const Scratch scratch;
  scratch.write("config.toml", kTinyConfig);
  MetricsWriter writer(scratch / "metrics.jsonl", -1);
  writer.write({.step = 0, .validation_loss = 5.5});
  writer.write(step_of(1, 1, 2));
  StepMetrics last = step_of(2, 3, 4);
  last.validation_loss = 4.25;
  writer.write(last);

  const RunSummary summary = summarise_runs(std::array{scratch.path()}).at(0);
  EXPECT_EQ(summary.name, "CoE-2(2/4)");
  EXPECT_EQ(summary.first_validation, 5.5);
  EXPECT_EQ(summary.last_validation, 4.25);
  EXPECT_EQ(summary.steps, 2);
  EXPECT_EQ(summary.seconds, 4);
  EXPECT_EQ(summary.tokens, 2000);
  EXPECT_EQ(summary.bytes_exchanged, 2 << 20);
  EXPECT_THAT(summary.load, ElementsAre(3, 4));  // (1 + 3 + 3 + 5) / 4 and (2 + 4 + 4 + 6) / 4
}

TEST(RunSummary, ARunThatHasJustBegunHasMadeNoStep) {
  const Scratch scratch;
  scratch.write("config.toml", kTinyConfig);
  const RunSummary summary = summarise_runs(std::array{scratch.path()}).at(0);
  EXPECT_EQ(summary.steps, 0);
  EXPECT_FALSE(summary.last_validation);
}

TEST(RunSummary, OneExpertHasNoLoadToCompare) {
  const Scratch scratch;
  std::string dense = kTinyConfig;
  for (const auto& [from, to] : {std::pair("experts = 4", "experts = 1"), std::pair("top_k = 2", "top_k = 1"),
                                 std::pair("iterations = 2", "iterations = 1")})
    dense.replace(dense.find(from), std::string(from).size(), to);
  scratch.write("config.toml", dense);
  MetricsWriter(scratch / "metrics.jsonl", -1).write(step_of(1, 1, 1));
  const RunSummary summary = summarise_runs(std::array{scratch.path()}).at(0);
  EXPECT_EQ(summary.name, "dense");
  EXPECT_THAT(summary.load, ::testing::IsEmpty());
}

TEST(RunSummary, AFolderWithoutARunIsBadInput) {
  const Scratch scratch;
  try {
    summarise_runs(std::array{scratch.path()});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("holds no run"));
  }
}

}  // namespace
}  // namespace coe
