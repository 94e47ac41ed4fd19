#include "launcher/run_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include <string>

#include "kernels/memory/error.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

std::string refusal_of(const RunDirectory& directory, bool resume = false) {
  try {
    check_run_directory(directory, resume);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "accepted";
}

TEST(RunDirectory, AFolderThatCanBeMadeIsAcceptedAndNotMade) {
  const Scratch scratch;
  EXPECT_EQ(refusal_of({scratch / "a/b/c"}), "accepted");
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(RunDirectory, RanksOfOneProcessMayLookAtTheSameTime) {
  const Scratch scratch;
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 4; ++rank) {
    ranks.emplace_back([&] {
      for (int i = 0; i < 200; ++i) EXPECT_EQ(refusal_of({scratch / "run"}), "accepted");
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

TEST(RunDirectory, AFileIsNoFolder) {
  const Scratch scratch;
  scratch.write("file", "x");
  EXPECT_THAT(refusal_of({scratch / "file"}), HasSubstr("is no folder"));
  EXPECT_THAT(refusal_of({scratch / "file/below"}), HasSubstr("is no folder"));
}

TEST(RunDirectory, AVirtualFileSystemTakesNoFolder) {
  EXPECT_THAT(refusal_of({"/proc/coe_run"}), HasSubstr("cannot be written"));
}

TEST(RunDirectory, AnEarlierRunIsNotOverwritten) {
  const Scratch scratch;
  scratch.write("config.toml", "");
  EXPECT_THAT(refusal_of({scratch.path()}), HasSubstr("holds a run already"));
  EXPECT_EQ(refusal_of({scratch.path()}, true), "accepted");
}

TEST(RunDirectory, TheRunOfACheckpointIsFound) {
  const Scratch scratch;
  scratch.write("run/config.toml", "");
  scratch.write("run/checkpoints/step_00000002/manifest.json", "");
  scratch.write("alone/step/manifest.json", "");
  EXPECT_EQ(run_of(scratch / "run"), scratch / "run");
  EXPECT_EQ(run_of(scratch / "run/"), scratch / "run");
  EXPECT_EQ(run_of(scratch / "run/checkpoints/step_00000002"), scratch / "run");
  EXPECT_EQ(run_of(scratch / "alone/step"), std::nullopt);
}

TEST(RunDirectory, AFolderWithOtherThingsIsAccepted) {
  const Scratch scratch;
  scratch.write("notes.txt", "");
  EXPECT_EQ(refusal_of({scratch.path()}), "accepted");
}

}  // namespace
}  // namespace coe
