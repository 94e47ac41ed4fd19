#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "runtime/checkpoint_directory.h"
#include "runtime/metrics.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

std::vector<std::int64_t> steps_of(const std::filesystem::path& run) {
  std::vector<std::int64_t> steps;
  for (const StepMetrics& line : read_metrics(run / "metrics.jsonl")) steps.push_back(line.step);
  return steps;
}

std::vector<double> losses_of(const std::filesystem::path& run) {
  std::vector<double> losses;
  for (const StepMetrics& line : read_metrics(run / "metrics.jsonl")) losses.push_back(line.loss);
  return losses;
}

/// Waits until the run has made `steps` steps; false where it ends before.
bool wait_for_steps(Program& program, const std::filesystem::path& run, std::size_t steps) {
  while (program.running()) {
    if (std::filesystem::exists(run / "metrics.jsonl") && read_metrics(run / "metrics.jsonl").size() > steps)
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

/// The number of ranks under mpirun, 0 without it.
class Train : public ::testing::TestWithParam<int> {
 protected:
  Train() { scratch_.write("config.toml", kTinyConfig); }

  Outcome train(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"train", "config.toml"});
    return run_program(scratch_, arguments, GetParam());
  }

  Scratch scratch_;
};

TEST_P(Train, LeavesConfigMetricsAndACheckpoint) {
  const Outcome outcome = train();
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(steps_of(scratch_ / "run"), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  const auto lines = read_metrics(scratch_ / "run/metrics.jsonl");
  EXPECT_TRUE(lines[0].validation_loss && lines[2].validation_loss && lines[4].validation_loss);
  EXPECT_FALSE(lines[1].validation_loss);
  EXPECT_EQ(lines[1].routing.size(), 2U);  // one layer, two iterations
  EXPECT_EQ(lines[1].tokens, 4 * 32);
  EXPECT_TRUE(std::filesystem::is_directory(scratch_ / "run/checkpoints/step_00000004"));
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "run/loss.svg"));
  EXPECT_THAT(read_text(scratch_ / "run/config.toml"), HasSubstr("expert_hidden = 8"));
  EXPECT_THAT(outcome.out, HasSubstr("CoE-2(2/4)"));
  EXPECT_THAT(outcome.out, HasSubstr("expert load max/mean, iteration 2"));
}

TEST_P(Train, GoesOnWhereItsCheckpointStands) {
  ASSERT_EQ(train({"--out", "whole"}).code, 0);
  ASSERT_EQ(train({"--out", "halves", "--set", "training.steps=2"}).code, 0);
  const Outcome outcome = train({"--out", "halves", "--resume"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("going on after step 2"));
  EXPECT_EQ(steps_of(scratch_ / "halves"), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(losses_of(scratch_ / "halves"), losses_of(scratch_ / "whole"));
}

TEST_P(Train, ResumingAFinishedRunChangesNothing) {
  ASSERT_EQ(train().code, 0);
  const std::string before = read_text(scratch_ / "run/metrics.jsonl");
  const Outcome outcome = train({"--resume"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(read_text(scratch_ / "run/metrics.jsonl"), before);
}

TEST_P(Train, TerminatedItWritesACheckpointAndEndsWell) {
  std::vector<std::string> arguments = {"train", "config.toml", "--set", "training.steps=1000000"};
  Program program(scratch_, arguments, GetParam());
  ASSERT_TRUE(wait_for_steps(program, scratch_ / "run", 3));
  kill(program.id(), GetParam() == 0 ? SIGTERM : SIGUSR1);  // mpirun passes SIGUSR1 on to its ranks
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("a signal asked to stop: ended after step"));
  const std::int64_t last = steps_of(scratch_ / "run").back();
  EXPECT_TRUE(std::filesystem::is_directory(checkpoint_path(scratch_ / "run/checkpoints", last)));
}

TEST_P(Train, ALossThatIsNotFiniteStopsTheRun) {
  const Outcome outcome = train({"--set", "training.learning_rate=1e38", "--set", "output.checkpoint_every=1"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("coe: .*step [0-9]+: .*finite; the last good checkpoint is run/"));
}

INSTANTIATE_TEST_SUITE_P(Ranks, Train, ::testing::Values(0, 2),
                         [](const auto& ranks) { return ranks.param == 0 ? "Alone" : "Mpirun"; });

TEST(TrainUnderMpirun, TerminatingMpirunLetsTheRanksFinish) {
  const Scratch scratch;
  scratch.write("config.toml", kTinyConfig);
  Program program(scratch, {"train", "config.toml", "--set", "training.steps=1000000"}, 2);
  ASSERT_TRUE(wait_for_steps(program, scratch / "run", 3));
  kill(program.id(), SIGTERM);
  const Outcome outcome = program.wait();
  EXPECT_THAT(outcome.err, HasSubstr("a signal asked to stop: ended after step"));
  const std::int64_t last = steps_of(scratch / "run").back();
  EXPECT_TRUE(std::filesystem::is_directory(checkpoint_path(scratch / "run/checkpoints", last)));
}

}  // namespace
}  // namespace coe
