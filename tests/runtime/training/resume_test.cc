#include "runtime/training/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coe {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> texts_of(const std::vector<FactChange>& changes) {
  std::vector<std::string> texts;
  for (const FactChange& change : changes) texts.push_back(change.text());
  return texts;
}

/// A checkpoint after step 10, and the state of a run that goes on from it.
class Resume : public testing::Test {
 protected:
  FoundCheckpoint found_{.path = {},
                         .state = {10, 160, 0.5, 1, {{"training.seed", "1"}, {"train.ends", "aa"}, {"ranks", "1"}}},
                         .changes = {},
                         .damage = {}};
  TrainingState own_{0, 0, 1e-8, 1, {{"training.seed", "1"}, {"train.ends", "aa"}, {"ranks", "1"}}};
};

TEST_F(Resume, TheSameRunGoesOnWhereItStood) {
  resume_from(found_, own_);
  EXPECT_THAT(found_.changes, IsEmpty());
  EXPECT_EQ(own_, found_.state);
}

TEST_F(Resume, WhatIsOtherIsTakenAndTold) {
  own_.seed = 2;
  own_.run = {{"training.seed", "2"}, {"train.ends", "aa"}, {"ranks", "4"}};
  resume_from(found_, own_);
  EXPECT_THAT(texts_of(found_.changes), ElementsAre("training.seed 2 (was 1)", "ranks 4 (was 1)"));
  EXPECT_EQ(own_.seed, 2U);
  EXPECT_EQ(*find_fact(own_.run, "ranks"), "4");
  EXPECT_EQ(own_.step, 10);
  EXPECT_EQ(own_.next_sequence, 160);
  EXPECT_EQ(own_.l1_coeff, 0.5);
}

TEST_F(Resume, OtherDataBeginsAtItsBeginning) {
  own_.run[1].value = "bb";
  resume_from(found_, own_);
  EXPECT_EQ(own_.step, 10);
  EXPECT_EQ(own_.next_sequence, 0);
}

TEST_F(Resume, AnOldCheckpointKnowsNoMoreThanItsSeed) {
  found_.state.run.clear();
  resume_from(found_, own_);
  EXPECT_THAT(found_.changes, IsEmpty());
  EXPECT_EQ(own_.next_sequence, 160);
  found_.state.seed = 3;
  resume_from(found_, own_);
  EXPECT_THAT(texts_of(found_.changes), ElementsAre("training.seed 1 (was 3)"));
}

}  // namespace
}  // namespace coe
