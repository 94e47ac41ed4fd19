#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/training/checkpoint_directory.h"
#include "runtime/training/metrics.h"
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
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "run/flight"));
  EXPECT_THAT(read_text(scratch_ / "run/config.toml"), HasSubstr("expert_hidden = 8"));
  EXPECT_THAT(outcome.out, HasSubstr("CoE-2(2/4)"));
  EXPECT_THAT(outcome.out, HasSubstr("expert load max/mean, iteration 2"));
}

/// JSONL as Windows and Python write it.
std::string foreign_rows() {
  std::string lines = "\xef\xbb\xbf";
  for (int row = 0; row < 60; ++row) {
    lines +=
        fmt::format(R"({{"score": NaN, "question": "How much is {} + {}?", "notes": null, "answer": "It is {}."}})",
                    row, row, 2 * row);
    lines += "\r\n";
  }
  return lines;
}

TEST_P(Train, ReadsFilesOfOtherTools) {
  scratch_.write("rows.jsonl", foreign_rows());
  scratch_.write("marked.txt", foreign_rows());
  std::string wide;
  for (int i = 0; i < 400; ++i) wide += std::string{static_cast<char>(i * 7), static_cast<char>(i % 3), '\1', '\0'};
  scratch_.write("wide.bin", wide);
  EXPECT_EQ(train({"--data", "rows.jsonl", "--out", "rows"}).code, 0);
  EXPECT_EQ(train({"--data", "marked.txt", "--out", "text"}).code, 0);
  const Outcome outcome = train({"--data", "wide.bin", "--set", "model.vocab=70000", "--set", "data.format=tokens32",
                                 "--set", "training.steps=1", "--out", "wide"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_P(Train, TakesTheLossOnTheAnswersOfSeparateDocuments) {
  scratch_.write("rows.jsonl", foreign_rows());
  const auto losses = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--data", "rows.jsonl", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = train(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return losses_of(scratch_ / out);
  };
  const auto packed = losses("packed", {});
  const auto answers = losses("answers", {"--set", "data.loss_fields=[\"answer\"]"});
  const auto separate = losses("separate", {"--set", "data.documents=separate"});
  ASSERT_EQ(answers.size(), packed.size());
  EXPECT_NE(answers[1], packed[1]);
  EXPECT_NE(separate[1], packed[1]);
  EXPECT_NE(separate[1], answers[1]);
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

TEST_P(Train, SaysThatItLooksAheadAndThatValidationDoesNot) {
  const std::vector<std::string> dropping = {"--set", "layer.drop_policy=probability", "--set",
                                             "layer.capacity_factor=1.0"};
  const Outcome outcome = train(dropping);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("layer.drop_policy probability lets training look ahead"));
  EXPECT_THAT(outcome.err, testing::ContainsRegex("step 4: validation loss [0-9.]+, without dropping choices\n"));
  const Outcome plain = train({"--out", "plain"});
  EXPECT_THAT(plain.err, testing::Not(HasSubstr("look ahead")));
  EXPECT_THAT(plain.err, testing::ContainsRegex("step 4: validation loss [0-9.]+\n"));
}

TEST_P(Train, SaysWhichKeysChangeNothing) {
  const Outcome outcome = run_program(scratch_,
                                      {"train", "config.toml", "--out", "run", "--set", "layer.router_bias_rate=0.5",
                                       "--set", "layer.balance_loss=batch"},
                                      GetParam());
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("set, but without effect here: layer.balance_loss \"batch\" "
                                     "(layer.balance_loss_coeff is 0), layer.router_bias_rate 0.5 "
                                     "(layer.router_bias is false)\n"));
}

TEST_P(Train, ResumingAFinishedRunChangesNothing) {
  ASSERT_EQ(train().code, 0);
  const std::string before = read_text(scratch_ / "run/metrics.jsonl");
  const Outcome outcome = train({"--resume"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("training.steps is 4: there is nothing left to do\n"));
  EXPECT_EQ(read_text(scratch_ / "run/metrics.jsonl"), before);
}

TEST_P(Train, WithoutACheckpointItStartsFromTheBeginningWhereThatIsAskedFor) {
  const Outcome outcome = train({"--resume=auto"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("no checkpoint in run: from the start"));
  EXPECT_EQ(steps_of(scratch_ / "run"), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
}

TEST_P(Train, OtherDataIsToldAndGoneThroughFromItsBeginning) {
  scratch_.write("a.txt", std::string(4000, 'a'));
  scratch_.write("b.txt", std::string(5000, 'b'));
  ASSERT_EQ(train({"--data", "a.txt"}).code, 0);
  const auto manifest = [&](int step) {
    return read_text(checkpoint_path(scratch_ / "run/checkpoints", step) / "manifest.json");
  };
  EXPECT_THAT(manifest(4), HasSubstr("\"next_sequence\":16,"));
  const Outcome outcome = train({"--data", "b.txt", "--resume", "--set", "training.steps=5"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("train.bytes 5000 (was 4000)"));
  EXPECT_THAT(outcome.err, HasSubstr("other training data: it is gone through from its beginning\n"));
  EXPECT_THAT(manifest(5), HasSubstr("\"next_sequence\":4,"));
}

TEST_P(Train, WhatIsNoWeightMayChangeAndIsTold) {
  ASSERT_EQ(train().code, 0);
  const Outcome outcome = train({"--resume", "--set", "training.steps=5", "--set", "layer.router_jitter=0.125", "--set",
                                 "training.seed=7", "--set", "training.batch=8"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("changed since that step: layer.router_jitter 0.125 (was 0), training.batch 8 (was "
                        "4), training.seed 7 (was 1)\n"));
  EXPECT_EQ(steps_of(scratch_ / "run").back(), 5);
}

void damage(const std::filesystem::path& file) {
  std::string bytes = read_text(file);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
}

TEST_P(Train, GoesOnBeforeADamagedCheckpointAndKeepsItAside) {
  ASSERT_EQ(train({"--set", "output.checkpoint_every=2"}).code, 0);
  const std::vector<double> undisturbed = losses_of(scratch_ / "run");
  const std::filesystem::path newest = scratch_ / "run/checkpoints/step_00000004";
  damage(newest / "replicated.safetensors");
  const Outcome outcome = train({"--resume"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("step_00000004/replicated.safetensors: tensor \""));
  EXPECT_THAT(outcome.err, HasSubstr("set aside as step_00000004.damaged; going on with step_00000002\n"));
  EXPECT_THAT(outcome.err, HasSubstr("going on after step 2"));
  EXPECT_EQ(losses_of(scratch_ / "run"), undisturbed);
  EXPECT_TRUE(std::filesystem::exists(newest));
  EXPECT_TRUE(std::filesystem::exists(newest.string() + ".damaged/replicated.safetensors"));
}

TEST_P(Train, DoesNotBeginAnewWhereOnlyDamageIsLeft) {
  ASSERT_EQ(train().code, 0);
  damage(scratch_ / "run/checkpoints/step_00000004/replicated.safetensors");
  for (const std::string says : {"tensor \"", "holds no checkpoint but damaged ones"}) {
    const Outcome outcome = train({"--resume"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, Train, ::testing::Values(0, 2),
                         [](const auto& ranks) { return ranks.param == 0 ? "Alone" : "Mpirun"; });

}  // namespace
}  // namespace coe
