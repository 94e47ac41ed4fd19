#include "launcher/train/routing_recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/routing/routing_record_file.h"
#include "runtime/training/checkpoint_directory.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

class RoutingRecordingOfRuns : public ::testing::Test {
 protected:
  RoutingRecordingOfRuns() { scratch_.write("config.toml", kTinyConfig); }

  /// Trains into folder `run` with a record in it.
  Outcome train(const std::string& run, const std::vector<std::string>& more = {}, int ranks = 0) const {
    std::vector<std::string> arguments = {"train",
                                          "config.toml",
                                          "--out",
                                          run,
                                          "--set",
                                          "output.checkpoint_every=2",
                                          "--record-routing",
                                          run + "/routing.safetensors"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(scratch_, arguments, ranks);
  }
  RoutingRecord record_of(const std::string& run) const {
    return read_routing_record(scratch_ / (run + "/routing.safetensors"));
  }

  Scratch scratch_;
};

TEST_F(RoutingRecordingOfRuns, CountsEveryTokenOfEveryStepAndNoneOfValidation) {
  ASSERT_EQ(train("run").code, 0);
  const RoutingRecord record = record_of("run");
  EXPECT_EQ(record.model, "CoE-2(2/4)");
  EXPECT_EQ(record.steps, 4);
  EXPECT_EQ(record.last_step, 4);
  EXPECT_EQ(record.tokens, 4 * 4 * 32);
}

TEST_F(RoutingRecordingOfRuns, ARunThatGoesOnCountsEachStepOnce) {
  ASSERT_EQ(train("whole").code, 0);
  ASSERT_EQ(train("parts", {"--set", "training.steps=2"}).code, 0);
  EXPECT_EQ(record_of("parts").steps, 2);
  ASSERT_EQ(train("parts", {"--resume"}).code, 0);
  EXPECT_TRUE(record_of("parts") == record_of("whole"));
}

TEST_F(RoutingRecordingOfRuns, WhereTheRecordIsAheadOfTheCheckpointCountingStartsAfresh) {
  ASSERT_EQ(train("run").code, 0);
  std::filesystem::remove_all(checkpoint_path(scratch_ / "run/checkpoints", 4));
  ASSERT_EQ(train("run", {"--resume"}).code, 0);
  EXPECT_EQ(record_of("run").steps, 2);
  EXPECT_EQ(record_of("run").last_step, 4);
}

TEST_F(RoutingRecordingOfRuns, AnEvaluationIsTheSameOnAnyNumberOfRanks) {
  ASSERT_EQ(train("run").code, 0);
  for (const int ranks : {0, 3}) {
    const std::string file = "eval" + std::to_string(ranks);
    const Outcome outcome =
        run_program(scratch_, {"eval", "config.toml", "--checkpoint", "run", "--record-routing", file}, ranks);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  const RoutingRecord alone = read_routing_record(scratch_ / "eval0");
  EXPECT_EQ(alone.tokens, 4 * 32);
  EXPECT_EQ(alone.steps, 0);
  EXPECT_TRUE(alone == read_routing_record(scratch_ / "eval3"));
}

TEST_F(RoutingRecordingOfRuns, APlaceThatCannotBeWrittenIsRefusedAtOnce) {
  const Outcome outcome = train("run", {"--record-routing", "/proc/x/routing.safetensors"});
  EXPECT_EQ(outcome.code, 2);
  scratch_.write("folder/file", "");
  for (const char* place : {"/proc/coe/x", "folder", "config.toml/x", ""}) {
    const Outcome refused = run_program(scratch_, {"train", "config.toml", "--record-routing", place});
    EXPECT_EQ(refused.code, 2) << place;
    EXPECT_THAT(refused.err, HasSubstr("--record-routing")) << place;
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "run"));
  }
}

TEST_F(RoutingRecordingOfRuns, ARecordOfAnotherModelIsNotGoneOnFrom) {
  ASSERT_EQ(train("run", {"--set", "training.steps=2"}).code, 0);
  const Outcome outcome = train("run", {"--resume", "--set", "model.layers=2"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("is a record of CoE-2(2/4) in 1 layers, the model is CoE-2(2/4) in 2"));
}

}  // namespace
}  // namespace coe
