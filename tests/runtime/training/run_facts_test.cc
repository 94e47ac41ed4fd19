#include "runtime/training/run_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/runtime/config/small_config.h"
#include "tests/runtime/files/scratch_directory.h"

namespace coe {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RunFactsOfFiles : public testing::Test {
 protected:
  RunFactsOfFiles() { config_.data.train = scratch_ / "train.txt"; }

  RunFacts facts_with(const std::string& text) {
    std::ofstream(config_.data.train, std::ios::binary) << text;
    const auto open = [&](Split split) {
      return make_token_source(config_.data, split, config_.model.sequence, config_.model.vocab, config_.training.seed);
    };
    return run_facts(config_, *open(Split::kTrain), *open(Split::kValidation));
  }

  /// The keys of the training data that differ between two texts.
  std::vector<std::string> changed(const std::string& before, const std::string& now) {
    const RunFacts first = facts_with(before);
    std::vector<std::string> keys;
    for (const FactChange& change : changes_between(first.meaning, facts_with(now).meaning))
      if (change.key.starts_with("train.")) keys.push_back(change.key);
    return keys;
  }

  ScratchDirectory scratch_;
  Config config_ = parse_config(kSmallConfig, "x.toml");
};

TEST_F(RunFactsOfFiles, DataIsKnownByItsSizeItsWindowsAndItsEnds) {
  const std::string text(1000, 'a');
  EXPECT_THAT(changed(text, text), IsEmpty());
  EXPECT_THAT(changed(text, text + "aaaa"), ElementsAre("train.bytes", "train.ends", "train.windows"));
  EXPECT_THAT(changed(text, "b" + text.substr(1)), ElementsAre("train.ends"));
  EXPECT_THAT(changed(text, text.substr(1) + "b"), ElementsAre("train.ends"));
}

TEST_F(RunFactsOfFiles, OtherWindowsOfTheSameDataMoveThePosition) {
  const RunFacts before = facts_with(std::string(1000, 'a'));
  config_.model.sequence = 8;
  EXPECT_TRUE(moves_training_data(changes_between(before.meaning, facts_with(std::string(1000, 'a')).meaning)));
}

TEST_F(RunFactsOfFiles, AnotherNameForTheSameDataIsNoChange) {
  const RunFacts before = facts_with(std::string(1000, 'a'));
  config_.data.train = scratch_ / "moved.txt";
  const auto changes = changes_between(before.meaning, facts_with(std::string(1000, 'a')).meaning);
  EXPECT_FALSE(moves_training_data(changes));
  EXPECT_EQ(told_changes(changes, config_.training), "");
}

TEST(RunFacts, EveryKeyOfTheConfigIsThere) {
  const Config config = parse_config(kSmallConfig, "x.toml");
  const RunFacts facts = config_facts(config);
  for (const ConfigEntry& entry : entries_of(config)) EXPECT_EQ(*find_fact(facts.meaning, entry.key), entry.value);
  EXPECT_NE(find_fact(facts.meaning, "version"), nullptr);
  EXPECT_NE(find_fact(facts.rounding, "build.instructions"), nullptr);
}

TEST(RunFacts, AManifestKeepsWhatIsNotTheModels) {
  const auto kept = facts_for_manifest(config_facts(parse_config(kSmallConfig, "x.toml")), 7);
  EXPECT_EQ(*find_fact(kept, "ranks"), "7");
  EXPECT_EQ(*find_fact(kept, "training.batch"), "4");
  for (const std::string key : {"layer.top_k", "output.directory", "distributed.threads"})
    EXPECT_EQ(find_fact(kept, key), nullptr) << key;
  EXPECT_NE(find_fact(kept, "build.type"), nullptr);
}

TEST(RunFacts, AKeyThatCameLaterHadItsDefault) {
  const std::vector<ConfigEntry> before{{"training.batch", "4"}}, same{{"training.clip", "1"}, {"train.bytes", "9"}};
  EXPECT_THAT(changes_between(before, same), IsEmpty());
  const std::vector<ConfigEntry> other{{"training.clip", "2"}};
  const auto changes = changes_between(before, other);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].text(), "training.clip 2 (was 1)");
}

TEST(RunFacts, WhatChangesNoNumberIsNotTold) {
  TrainingConfig training;
  const std::vector<FactChange> changes{{"output.directory", "a", "b"},
                                        {"distributed.threads", "1", "4"},
                                        {"training.steps", "10", "20"},
                                        {"training.seed", "1", "2"}};
  EXPECT_EQ(told_changes(changes, training), "training.seed 2 (was 1)");
  training.schedule = Schedule::kCosine;
  EXPECT_THAT(told_changes(changes, training), HasSubstr("training.steps 20 (was 10), training.seed"));
}

}  // namespace
}  // namespace coe
