#include "runtime/training/checkpoint_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "kernels/memory/error.h"
#include "tests/runtime/files/scratch_directory.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

void make_checkpoint(const fs::path& path, const std::string& content = "{}") {
  fs::create_directories(path);
  std::ofstream(path / kManifestFile) << content;
  std::ofstream(path / "shard") << content;
}

std::string content_of(const fs::path& path) {
  std::ifstream in(path / "shard");
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  return names;
}

/// Writes the files of a checkpoint and moves it to its place.
void write_and_publish(const fs::path& place, const std::string& content) {
  UnfinishedCheckpoint unfinished(place);
  make_checkpoint(UnfinishedCheckpoint::path_for(place), content);
  unfinished.publish();
}

TEST(CheckpointDirectory, NamesSortAsTheirSteps) {
  EXPECT_EQ(checkpoint_path("runs/checkpoints", 1000), "runs/checkpoints/step_00001000");
  EXPECT_EQ(checkpoint_path("c", 123456789), "c/step_123456789");
}

TEST(CheckpointDirectory, TheNewestIsTheOneOfTheMostSteps) {
  const ScratchDirectory scratch;
  EXPECT_EQ(newest_checkpoint(scratch.path()), std::nullopt);
  EXPECT_EQ(newest_checkpoint(scratch / "nowhere"), std::nullopt);
  make_checkpoint(checkpoint_path(scratch.path(), 123456789));
  make_checkpoint(checkpoint_path(scratch.path(), 20000000));
  EXPECT_EQ(newest_checkpoint(scratch.path()), checkpoint_path(scratch.path(), 123456789));
}

TEST(CheckpointDirectory, ACheckpointAndARunsDirectoryMeanWhatOneExpects) {
  const ScratchDirectory scratch;
  const fs::path checkpoint = checkpoint_path(scratch / "run/checkpoints", 5);
  make_checkpoint(checkpoint);
  EXPECT_EQ(newest_checkpoint(scratch / "run"), checkpoint);
  EXPECT_EQ(newest_checkpoint(checkpoint), checkpoint);
}

TEST(CheckpointDirectory, WhatAKillLeavesDoesNotCount) {
  const ScratchDirectory scratch;
  make_checkpoint(checkpoint_path(scratch.path(), 1));
  make_checkpoint(UnfinishedCheckpoint::path_for(checkpoint_path(scratch.path(), 3)));
  fs::create_directory(checkpoint_path(scratch.path(), 2));
  std::ofstream(scratch / "step_00000004") << "a file";
  make_checkpoint(scratch / "step_five");
  make_checkpoint(scratch / "step_6.mine");
  EXPECT_EQ(newest_checkpoint(scratch.path()), checkpoint_path(scratch.path(), 1));
}

TEST(CheckpointDirectory, PublishingMovesEverythingInOneStep) {
  const ScratchDirectory scratch;
  const fs::path place = checkpoint_path(scratch / "new/checkpoints", 7);
  {
    UnfinishedCheckpoint unfinished(place);
    make_checkpoint(UnfinishedCheckpoint::path_for(place), "seven");
    EXPECT_EQ(newest_checkpoint(scratch / "new"), std::nullopt);
    unfinished.publish();
  }
  EXPECT_EQ(content_of(place), "seven");
  EXPECT_THAT(names_in(place.parent_path()), testing::ElementsAre("step_00000007"));
}

TEST(CheckpointDirectory, WithoutPublishingNothingStays) {
  const ScratchDirectory scratch;
  const fs::path place = checkpoint_path(scratch.path(), 7);
  { const UnfinishedCheckpoint unfinished(place); }
  EXPECT_TRUE(fs::is_empty(scratch.path()));
}

TEST(CheckpointDirectory, LeftOversOfAKilledRunAreRemoved) {
  const ScratchDirectory scratch;
  make_checkpoint(UnfinishedCheckpoint::path_for(checkpoint_path(scratch.path(), 3)));
  fs::create_directory(checkpoint_path(scratch.path(), 4));
  write_and_publish(checkpoint_path(scratch.path(), 4), "four");
  EXPECT_THAT(names_in(scratch.path()), testing::ElementsAre("step_00000004"));
}

TEST(CheckpointDirectory, ReplacesACheckpointOfTheSameStep) {
  const ScratchDirectory scratch;
  const fs::path place = checkpoint_path(scratch.path(), 7);
  write_and_publish(place, "old");
  write_and_publish(place, "new");
  EXPECT_EQ(content_of(place), "new");
  EXPECT_THAT(names_in(scratch.path()), testing::ElementsAre("step_00000007"));
}

TEST(CheckpointDirectory, AKillWhileReplacingLeavesTheOldOne) {
  const ScratchDirectory scratch;
  const fs::path place = checkpoint_path(scratch.path(), 7), replaced = scratch / "step_00000007.replaced";
  make_checkpoint(replaced, "old");
  EXPECT_EQ(newest_checkpoint(scratch.path()), replaced);
  write_and_publish(place, "new");
  EXPECT_EQ(newest_checkpoint(scratch.path()), place);
  EXPECT_THAT(names_in(scratch.path()), testing::ElementsAre("step_00000007"));
}

TEST(CheckpointDirectory, OldOnesGoButNeverTheOneJustWritten) {
  const ScratchDirectory scratch;
  for (const int step : {1, 2, 3, 4}) make_checkpoint(checkpoint_path(scratch.path(), step));
  remove_old_checkpoints(scratch.path(), 2, checkpoint_path(scratch.path(), 1));
  EXPECT_THAT(names_in(scratch.path()),
              testing::UnorderedElementsAre("step_00000001", "step_00000003", "step_00000004"));
}

TEST(CheckpointDirectory, AnOldOneThatCannotBeRemovedIsNamedAndTheOthersGo) {
  const ScratchDirectory scratch;
  for (const int step : {1, 2, 3, 4}) make_checkpoint(checkpoint_path(scratch.path(), step));
  make_checkpoint(scratch / "step_00000002.removed");  // in the way of a rename
  EXPECT_EQ(remove_old_checkpoints(scratch.path(), 2, checkpoint_path(scratch.path(), 4)),
            (scratch / "step_00000002").string() + ": an old checkpoint cannot be removed: Directory not empty");
  EXPECT_THAT(names_in(scratch.path()), testing::UnorderedElementsAre("step_00000002", "step_00000002.removed",
                                                                      "step_00000003", "step_00000004"));
  write_and_publish(checkpoint_path(scratch.path(), 5), "five");
  EXPECT_EQ(remove_old_checkpoints(scratch.path(), 2, checkpoint_path(scratch.path(), 5)), "");
  EXPECT_THAT(names_in(scratch.path()), testing::UnorderedElementsAre("step_00000004", "step_00000005"));
}

TEST(CheckpointDirectory, WhatIsSetAsideNeverCountsAgainAndStays) {
  const ScratchDirectory scratch;
  for (const int step : {1, 2, 3}) make_checkpoint(checkpoint_path(scratch.path(), step));
  EXPECT_EQ(set_aside(checkpoint_path(scratch.path(), 3)), scratch / "step_00000003.damaged");
  make_checkpoint(checkpoint_path(scratch.path(), 3));
  EXPECT_EQ(set_aside(checkpoint_path(scratch.path(), 3)), scratch / "step_00000003.damaged2");
  EXPECT_EQ(newest_checkpoint(scratch.path()), checkpoint_path(scratch.path(), 2));
  write_and_publish(checkpoint_path(scratch.path(), 3), "three");
  remove_old_checkpoints(scratch.path(), 1, checkpoint_path(scratch.path(), 3));
  EXPECT_THAT(names_in(scratch.path()),
              testing::UnorderedElementsAre("step_00000003", "step_00000003.damaged", "step_00000003.damaged2"));
  EXPECT_THAT(set_aside_in(scratch.path()),
              testing::ElementsAre(scratch / "step_00000003.damaged", scratch / "step_00000003.damaged2"));
}

TEST(CheckpointDirectory, AKillWhileRemovingLeavesNoHalfUnderItsName) {
  const ScratchDirectory scratch;
  make_checkpoint(scratch / "step_00000003.removed");
  make_checkpoint(scratch / "step_00000003.replaced.removed");
  EXPECT_EQ(newest_checkpoint(scratch.path()), std::nullopt);
  write_and_publish(checkpoint_path(scratch.path(), 4), "four");
  EXPECT_THAT(names_in(scratch.path()), testing::ElementsAre("step_00000004"));
}

TEST(CheckpointDirectory, SaysWhichPlaceCannotBeWritten) {
  const ScratchDirectory scratch;
  std::ofstream(scratch / "file") << "";
  try {
    UnfinishedCheckpoint(checkpoint_path(scratch / "file/checkpoints", 1));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_THAT(error.what(), testing::HasSubstr("/file: cannot be made a folder: File exists"));
  }
}

}  // namespace
}  // namespace coe
