#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/training/metrics.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

/// A tiny run that has been trained.
class Eval : public ::testing::Test {
 protected:
  Eval() {
    scratch_.write("config.toml", kTinyConfig);
    const Outcome outcome = run_program(scratch_, {"train", "config.toml", "--set", "output.checkpoint_every=2"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }

  Outcome eval(const std::vector<std::string>& more = {}, int ranks = 0) const {
    std::vector<std::string> arguments = {"eval", "config.toml", "--checkpoint", "run"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(scratch_, arguments, ranks);
  }

  static void expect_refusal(const Outcome& outcome, const std::string& named) {
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(named));
  }

  /// Changes one byte in the middle of every file of weights of a checkpoint.
  void damage_weights(const std::string& checkpoint) const {
    for (const auto& entry : std::filesystem::directory_iterator(scratch_ / "run/checkpoints" / checkpoint)) {
      if (entry.path().extension() != ".safetensors") continue;
      std::string bytes = read_text(entry.path());
      bytes[bytes.size() / 2] ^= 1;
      std::ofstream(entry.path(), std::ios::binary) << bytes;
    }
  }

  Scratch scratch_;
};

TEST_F(Eval, FindsTheLossThatTrainingFound) {
  const double trained = read_metrics(scratch_ / "run/metrics.jsonl").back().validation_loss.value();
  for (const int ranks : {0, 2}) {
    const Outcome outcome = eval({}, ranks);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(fmt::format("CoE-2(2/4) after 4 steps: validation loss {:.4f} nats", trained)));
  }
}

/// Letters that the built-in problems have in another order.
std::string some_text(std::size_t letters) {
  std::string text;
  for (std::size_t i = 0; text.size() < letters; ++i) text += std::to_string(i * i % 97) + " apples; ";
  return text;
}

TEST_F(Eval, WithoutDataItJudgesByTheDataOfTheRun) {
  scratch_.write("train.txt", some_text(4000));
  scratch_.write("other.txt", some_text(2000));
  const Outcome trained = run_program(scratch_, {"train", "config.toml", "--data", "train.txt", "--out", "own"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const double loss = read_metrics(scratch_ / "own/metrics.jsonl").back().validation_loss.value();
  const auto judge = [&](const std::string& checkpoint, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"eval", "config.toml", "--checkpoint", checkpoint};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run_program(scratch_, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
  };
  for (const std::string place : {"own", "own/checkpoints/step_00000004"}) {
    EXPECT_THAT(judge(place), HasSubstr(fmt::format("validation loss {:.4f} nats", loss)));
    EXPECT_THAT(judge(place), HasSubstr("on the last twentieth of train.txt\n"));
  }
  EXPECT_THAT(judge("own", {"--valid", "other.txt"}), HasSubstr("on other.txt\n"));
  EXPECT_THAT(judge("own", {"--data", "other.txt"}), HasSubstr("on the last twentieth of other.txt\n"));
  EXPECT_THAT(judge("run"), HasSubstr("on the built-in maths problems\n"));
}

TEST_F(Eval, DropsNoChoiceUnlessACapacityIsAskedFor) {
  const std::vector<std::string> dropping = {"--set", "layer.drop_policy=position", "--set",
                                             "layer.capacity_factor=0.5"};
  ASSERT_EQ(run_program(scratch_, {"train", "config.toml", "--out", "dropping", dropping[0], dropping[1], dropping[2],
                                   dropping[3]})
                .code,
            0);
  const auto judged = [&](const std::string& setting) {
    std::vector<std::string> arguments = {"eval", "config.toml", "--checkpoint", "dropping", "--set", setting};
    arguments.insert(arguments.end(), dropping.begin(), dropping.end());
    const Outcome outcome = run_program(scratch_, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string at_once = judged("training.micro_batch=4");
  EXPECT_THAT(at_once, HasSubstr("problems, without dropping choices\n"));
  EXPECT_EQ(judged("training.micro_batch=1"), at_once);
  EXPECT_EQ(judged("training.micro_batch=2"), at_once);
  EXPECT_THAT(judged("validation.capacity_factor=0.5"), HasSubstr("problems, with capacity factor 0.5\n"));
}

TEST_F(Eval, ACheckpointOfAnotherModelIsRefused) {
  expect_refusal(eval({"--set", "layer.experts=8"}), "experts");
  expect_refusal(eval({"--set", "layer.experts=8"}, 2), "experts");
  expect_refusal(run_program(scratch_, {"train", "config.toml", "--resume", "--set", "layer.experts=8"}), "experts");
}

TEST_F(Eval, CapacityIsNoPartOfTheModel) {
  const Outcome outcome = eval({"--set", "layer.drop_policy=position", "--set", "layer.capacity_factor=1.5"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("the checkpoint was trained otherwise: layer.drop_policy \"position\" (was \"none\"), "
                        "layer.capacity_factor 1.5 (was 0)\n"));
}

TEST_F(Eval, OfARunTheNewestWholeCheckpointIsTaken) {
  damage_weights("step_00000004");
  for (const int ranks : {0, 2}) {
    const Outcome outcome = eval({}, ranks);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("after 2 steps"));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("step_00000004/"));
    EXPECT_THAT(outcome.err, HasSubstr("going on with step_00000002"));
  }
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "run/checkpoints/step_00000004")) << "eval changed the run";
}

TEST_F(Eval, ADamagedCheckpointThatIsNamedIsRefused) {
  damage_weights("step_00000004");
  const std::vector<std::string> named = {"eval", "config.toml", "--checkpoint", "run/checkpoints/step_00000004"};
  expect_refusal(run_program(scratch_, named), ".safetensors: tensor \"");
  expect_refusal(run_program(scratch_, named, 2), ".safetensors: tensor \"");
}

TEST_F(Eval, ARunWithNothingButDamageIsRefused) {
  damage_weights("step_00000002");
  damage_weights("step_00000004");
  expect_refusal(eval(), "older ones are damaged too");
  expect_refusal(eval({}, 2), "older ones are damaged too");
}

TEST_F(Eval, AFolderWithoutCheckpointIsRefused) {
  std::filesystem::remove_all(scratch_ / "run/checkpoints");
  expect_refusal(eval(), "holds no complete checkpoint");
}

}  // namespace
}  // namespace coe
