#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

/// Two ranks of one job that are not started alike: as mpirun starts several programs as one job.
class RanksThatDiffer : public ::testing::Test {
 protected:
  RanksThatDiffer() { scratch_.write("config.toml", kTinyConfig); }

  /// Rank 0 runs `coe FIRST`, rank 1 `coe SECOND` in the folder `second_folder`.
  Outcome run(std::vector<std::string> first, const std::vector<std::string>& second,
              const std::string& second_folder = ".") {
    first.insert(first.end(), {":", "-np", "1", "-wdir", (scratch_ / second_folder).string(), program_file()});
    first.insert(first.end(), second.begin(), second.end());
    return run_program(scratch_, first, 1);
  }

  std::vector<std::string> train(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"train", (scratch_ / "config.toml").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  void expect_one_line(const Outcome& outcome, const std::string& regex) const {
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, ContainsRegex(regex));
    EXPECT_LT(outcome.seconds, 30);
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "run"));
  }

  Scratch scratch_;
};

TEST_F(RanksThatDiffer, AKeyOfTheConfigIsNamedWithItsRanks) {
  expect_one_line(
      run(train({"--set", "training.learning_rate=0.25"}), train({"--set", "training.learning_rate=0.5"})),
      "coe: the ranks do not run the same thing: training.learning_rate is 0.25 on rank 0 .*, 0.5 on rank 1");
  expect_one_line(run(train({"--set", "layer.experts=8"}), train({})), "layer.experts is 8 on rank 0 .*, 4 on rank 1");
}

TEST_F(RanksThatDiffer, DataIsComparedByWhatItHolds) {
  scratch_.write("a.txt", std::string(4000, 'a'));
  scratch_.write("b.txt", std::string(4000, 'b'));
  scratch_.write("c.txt", std::string(4000, 'a'));
  const auto on = [&](const std::string& file) { return train({"--data", (scratch_ / file).string()}); };
  expect_one_line(run(on("a.txt"), on("b.txt")), "train.ends is .* on rank 0 .*, .* on rank 1");
  const Outcome alike = run(on("a.txt"), on("c.txt"));
  EXPECT_EQ(alike.code, 0) << alike.err;
}

TEST_F(RanksThatDiffer, ARefusalOfOneRankIsSaidOnceWithItsHost) {
  expect_one_line(run(train({}), {"train", "nowhere.toml"}), "nowhere.toml: cannot be read: .* on rank 1 (.+)");
  expect_one_line(run({"train", "nowhere.toml"}, train({})), "nowhere.toml: cannot be read: .* on rank 0 (.+)");
  expect_one_line(run(train({}), train({"--data", "nowhere.txt"})), "nowhere.txt: cannot be read: .* on rank 1 (.+)");
}

TEST_F(RanksThatDiffer, AnotherVerbIsRefused) {
  expect_one_line(run({"verify", "a.safetensors"}, {"verify", "b.safetensors"}), "a.safetensors.*on rank 0");
}

TEST_F(RanksThatDiffer, AFolderThatIsNotSharedIsRefusedBeforeTheFirstStep) {
  std::filesystem::create_directory(scratch_ / "elsewhere");
  expect_one_line(run(train({}), train({}), "elsewhere"), "output.directory: run of rank 0 .* is not seen by rank 1");
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "elsewhere"));
}

/// Each rank of a launcher that MPI does not meet is a process like this one.
class LaunchersThatMpiDoesNotMeet : public RanksThatDiffer {
 protected:
  Outcome start(const std::map<std::string, std::string>& variables) {
    return Program(scratch_, train({}), 0, variables).wait();
  }
};

TEST_F(LaunchersThatMpiDoesNotMeet, RankZeroSaysItAndNobodyWrites) {
  const auto slurm = [](const std::string& rank) {
    return std::map<std::string, std::string>{
        {"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_NTASKS", "2"}, {"SLURM_PROCID", rank}, {"SLURM_LOCALID", "0"}};
  };
  expect_one_line(start(slurm("0")), "coe: srun started 2 ranks, MPI knows of 1: they do not meet");
  const Outcome other = start(slurm("1"));
  EXPECT_EQ(other.code, 2);
  EXPECT_EQ(other.err, "");
  expect_one_line(start({{"PMI_SIZE", "2"}, {"PMI_RANK", "0"}}), "coe: a PMI launcher started 2 ranks, MPI knows of 1");
}

/// The same command twice at once.
TEST(TwoJobs, OneFolderIsForOneOfThem) {
  const Scratch scratch;
  scratch.write("config.toml", kTinyConfig);
  const Scratch* const folder = &scratch;
  Program first(*folder, {"train", "config.toml", "--set", "training.steps=1000000"});
  for (int i = 0; i < 3000 && !std::filesystem::exists(scratch / "run/run.lock"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  scratch.write("second/config.toml", kTinyConfig);
  for (const std::string resume : {"--resume", "--resume=auto", "--threads=1"}) {
    const Outcome second =
        run_program(scratch, {"train", "second/config.toml", "--out", (scratch / "run").string(), resume});
    EXPECT_EQ(second.code, 2);
    EXPECT_THAT(second.err, MatchesRegex("coe: output.directory: .*/run (is in use by process [0-9]+ on .+|holds a run "
                                         "already).*\n"));
  }
  EXPECT_TRUE(first.running());
  kill(first.id(), SIGTERM);
  first.wait();
  EXPECT_FALSE(std::filesystem::exists(scratch / "run/run.lock"));
  EXPECT_EQ(run_program(scratch, {"train", "config.toml", "--resume", "--set", "training.steps=1"}).code, 0);
}

}  // namespace
}  // namespace coe
