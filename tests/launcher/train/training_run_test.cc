#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "runtime/training/checkpoint_directory.h"
#include "runtime/training/metrics.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

std::int64_t last_step(const std::filesystem::path& run) { return read_metrics(run / "metrics.jsonl").back().step; }

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
class TrainingRun : public ::testing::TestWithParam<int> {
 protected:
  TrainingRun() { scratch_.write("config.toml", kTinyConfig); }

  Scratch scratch_;
};

TEST_P(TrainingRun, TerminatedItWritesACheckpointAndEndsWell) {
  std::vector<std::string> arguments = {"train", "config.toml", "--set", "training.steps=1000000"};
  Program program(scratch_, arguments, GetParam());
  ASSERT_TRUE(wait_for_steps(program, scratch_ / "run", 3));
  kill(program.id(), GetParam() == 0 ? SIGTERM : SIGUSR1);  // mpirun passes SIGUSR1 on to its ranks
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("a signal asked to stop: ended after step"));
  const std::int64_t last = last_step(scratch_ / "run");
  EXPECT_TRUE(std::filesystem::is_directory(checkpoint_path(scratch_ / "run/checkpoints", last)));
}

TEST_P(TrainingRun, ATraceOfTooFewStepsIsMissedAloud) {
  const std::vector<std::string> arguments = {"train", "config.toml", "--trace", "trace.json", "--set"};
  const auto of_steps = [&](const std::string& steps) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {"training.steps=" + steps, "--out", "run" + steps});
    return run_program(scratch_, all, GetParam());
  };
  EXPECT_THAT(of_steps("4").err, HasSubstr("--trace: trace.json is not written, which takes 5 steps of one run"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "trace.json"));
  EXPECT_THAT(of_steps("5").err, HasSubstr("wrote trace.json"));
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "trace.json"));
}

TEST_P(TrainingRun, ALossThatIsNotFiniteStopsTheRun) {
  const Outcome outcome = run_program(
      scratch_, {"train", "config.toml", "--set", "training.learning_rate=1e30", "--set", "output.checkpoint_every=1"},
      GetParam());
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("coe: step 2: .* is not finite .rank [01].*; the last good "
                                                    "checkpoint is run/checkpoints/step_00000001; "));
  EXPECT_EQ(std::ranges::count(outcome.err.substr(outcome.err.find("coe: ")), '\n'), 1) << outcome.err;
}

TEST_P(TrainingRun, WeightsThatAreNotFiniteAreNotKept) {
  const Outcome outcome = run_program(
      scratch_, {"train", "config.toml", "--set", "training.learning_rate=3e38", "--set", "output.checkpoint_every=1"},
      GetParam());
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("coe: checkpoint after step 1: weight model.embed_tokens.weight is "
                                                    "not finite .rank 0.; there is no checkpoint yet; "));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "run/checkpoints/step_00000001"));
}

INSTANTIATE_TEST_SUITE_P(Ranks, TrainingRun, ::testing::Values(0, 2),
                         [](const auto& ranks) { return ranks.param == 0 ? "Alone" : "Mpirun"; });

TEST(TrainingRunUnderMpirun, TerminatingMpirunLetsTheRanksFinish) {
  const Scratch scratch;
  scratch.write("config.toml", kTinyConfig);
  // mpirun reads no output while it waits to kill, and a rank that fills the pipe stops: so nothing is said in between.
  const std::vector<std::string> quiet = {"train", "config.toml",       "--set", "training.steps=1000000",
                                          "--set", "validation.every=0"};
  Program program(scratch, quiet, 2);
  ASSERT_TRUE(wait_for_steps(program, scratch / "run", 3));
  kill(program.id(), SIGTERM);
  const Outcome outcome = program.wait();
  EXPECT_THAT(outcome.err, HasSubstr("a signal asked to stop: ended after step"));
  const std::int64_t last = last_step(scratch / "run");
  EXPECT_TRUE(std::filesystem::is_directory(checkpoint_path(scratch / "run/checkpoints", last)));
}

}  // namespace
}  // namespace coe
