#include "runtime/training/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>
#include <string>

#include "kernels/memory/error.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

class MetricsFile : public ::testing::Test {
 protected:
  MetricsFile() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    file_ = std::filesystem::temp_directory_path() /
            ("coe_metrics_" + std::string(test->name()) + std::to_string(getpid()) + ".jsonl");
  }
  ~MetricsFile() override { std::filesystem::remove(file_); }

  std::string text() const {
    std::ifstream input(file_);
    return {std::istreambuf_iterator<char>(input), {}};
  }
  std::vector<std::int64_t> steps() const {
    std::vector<std::int64_t> numbers;
    for (const StepMetrics& metrics : read_metrics(file_)) numbers.push_back(metrics.step);
    return numbers;
  }

  std::filesystem::path file_;
};

StepReport report_of(std::int64_t step) {
  StepReport report;
  report.step = step;
  report.loss = 2.5;
  report.balance_loss = 0.125;
  report.gradient_norm = 0.75;
  report.learning_rate = 0.001;
  report.l1_coeff = 1e-8;
  report.seconds = 0.5;
  report.tokens = 100;
  report.bytes_exchanged = 4096;
  report.times[Part::kExperts] = 0.25;
  report.routing.push_back(
      {.layer = 1, .iteration = 1, .load = {3, 1}, .tokens = 4, .dropped = 1, .rerouted = 2, .bytes_exchanged = 7});
  return report;
}

/// A layer for which every key means something.
const LayerConfig kEverything{
    .router = RouterKind::kRelu, .drop_policy = DropPolicy::kPosition, .capacity_factor = 1, .reroute_rounds = 1};

TEST_F(MetricsFile, KeysThatMeanNothingForALayerAreLeftOut) {
  MetricsWriter(file_, -1).write(make_step_metrics(report_of(3), LayerConfig{}, 1.5));
  for (const std::string key : {"lambda", "sparsity", "dropped", "rerouted"})
    EXPECT_EQ(text().find(key), std::string::npos) << text();
  const StepMetrics line = read_metrics(file_).at(0);
  EXPECT_EQ(line.lambda, std::nullopt);
  EXPECT_EQ(line.routing.at(0).dropped, std::nullopt);
  EXPECT_EQ(line.routing.at(0).load_max_over_mean, 1.5);
}

TEST_F(MetricsFile, ALineIsReadBackAsItWasWritten) {
  MetricsWriter(file_, -1).write(make_step_metrics(report_of(3), kEverything, 1.5));
  const StepMetrics line = read_metrics(file_).at(0);
  EXPECT_EQ(line.step, 3);
  EXPECT_EQ(line.validation_loss, 1.5);
  EXPECT_EQ(line.loss, 2.5);
  EXPECT_EQ(line.balance_loss, 0.125);
  EXPECT_EQ(line.gradient_norm, 0.75);
  EXPECT_EQ(line.learning_rate, 0.001);
  EXPECT_EQ(line.lambda, 1e-8);
  EXPECT_EQ(line.tokens, 100);
  EXPECT_EQ(line.bytes_exchanged, 4096);
  EXPECT_EQ(line.times[Part::kExperts], 0.25);
  const RoutingMetrics routing{.layer = 1,
                               .iteration = 1,
                               .load_max_over_mean = 1.5,
                               .idle_experts = 0,
                               .dropped = 1,
                               .rerouted = 2,
                               .sparsity = 0.5,
                               .bytes_exchanged = 7};
  EXPECT_EQ(line.routing, std::vector{routing});
}

TEST_F(MetricsFile, ASkippedStepHasItsReasonAndNoLoss) {
  StepReport report = report_of(3);
  report.skipped = "layer 0: input is not finite (rank 0)";
  report.loss = std::numeric_limits<double>::quiet_NaN();
  MetricsWriter(file_, -1).write(make_step_metrics(report, kEverything, std::nullopt));
  EXPECT_EQ(text(), "{\"step\":3,\"skipped\":\"layer 0: input is not finite (rank 0)\"}\n");
  const StepMetrics line = read_metrics(file_).at(0);
  EXPECT_EQ(line.step, 3);
  EXPECT_EQ(line.skipped, report.skipped);
}

TEST_F(MetricsFile, EveryStepIsOneLineOfItsOwn) {
  MetricsWriter writer(file_, -1);
  writer.write({.step = 0, .validation_loss = 5.5});
  writer.write(make_step_metrics(report_of(1), kEverything, std::nullopt));
  EXPECT_THAT(text(), HasSubstr("{\"step\":0,\"validation_loss\":5.5}\n{\"step\":1,\"loss\":"));
  EXPECT_THAT(text(), HasSubstr("\"tokens_per_second\":200.0,"));
}

TEST_F(MetricsFile, AResumedRunWritesNoStepTwice) {
  {
    MetricsWriter writer(file_, -1);
    for (std::int64_t step = 1; step <= 4; ++step)
      writer.write(make_step_metrics(report_of(step), kEverything, std::nullopt));
  }
  std::ofstream(file_, std::ios::app) << "{\"step\":5,\"lo";  // a kill in the middle of a line
  MetricsWriter(file_, 2).write(make_step_metrics(report_of(3), kEverything, std::nullopt));
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{1, 2, 3}));
}

TEST_F(MetricsFile, WhatIsKeptKeepsItsBytes) {
  StepReport report = report_of(1);
  report.seconds = 2.0132610000000002e-2;
  MetricsWriter(file_, -1).write(make_step_metrics(report, kEverything, 0.1));
  const std::string before = text();
  MetricsWriter(file_, 1);
  EXPECT_EQ(text(), before);
}

TEST_F(MetricsFile, ANewRunStartsAnew) {
  MetricsWriter(file_, -1).write(make_step_metrics(report_of(1), kEverything, std::nullopt));
  MetricsWriter(file_, -1).write(make_step_metrics(report_of(1), kEverything, std::nullopt));
  EXPECT_EQ(steps(), std::vector<std::int64_t>{1});
}

TEST_F(MetricsFile, ALineThatIsNoStepIsNamed) {
  std::ofstream(file_) << "{\"step\":0}\n{\"steps\":1}\n";
  try {
    read_metrics(file_);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr(file_.string() + ":2 is no step"));
  }
}

TEST_F(MetricsFile, WhatCannotBeReadIsNotTakenForTheEnd) {
  std::filesystem::create_directory(file_);  // can be opened, and gives EISDIR
  try {
    read_metrics(file_);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_THAT(error.what(), HasSubstr("cannot be read to its end"));
  }
}

TEST_F(MetricsFile, AMissingFolderIsAnErrorOfTheSystem) {
  try {
    MetricsWriter writer(file_ / "metrics.jsonl", -1);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
  }
}

}  // namespace
}  // namespace coe
