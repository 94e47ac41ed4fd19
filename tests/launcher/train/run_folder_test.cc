#include "launcher/train/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/make_transport.h"
#include "tests/bad_input.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using testing::HasSubstr;

class RunFolderTest : public ::testing::Test {
 protected:
  std::string refusal(const std::filesystem::path& folder, Resume resume) {
    const auto world = make_transport("local");
    return bad_input([&] { RunFolder({folder}, resume, *world); });
  }
  bool is_empty() const { return std::filesystem::is_empty(scratch_.path()); }

  Scratch scratch_;
};

TEST_F(RunFolderTest, HoldsTheFolderAndLeavesNothingWhereNothingWasWritten) {
  const auto world = make_transport("local");
  {
    const RunFolder folder({scratch_ / "a/b"}, Resume::kNo, *world);
    EXPECT_EQ(read_lock(scratch_ / "a/b/run.lock").generation, folder.flight().filename());
    folder.require_held();
  }
  EXPECT_TRUE(is_empty());
}

TEST_F(RunFolderTest, WhatWasWrittenStays) {
  const auto world = make_transport("local");
  {
    const RunFolder folder({scratch_ / "a/b"}, Resume::kNo, *world);
    scratch_.write("a/b/config.toml", "");
  }
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "a/b/config.toml"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "a/b/run.lock"));
}

TEST_F(RunFolderTest, ThereMustBeSomethingToResumeFrom) {
  EXPECT_THAT(refusal(scratch_ / "mistpyed", Resume::kYes), HasSubstr("mistpyed holds no checkpoint to go on from"));
  EXPECT_TRUE(is_empty());
  const auto world = make_transport("local");
  RunFolder({scratch_ / "mistpyed"}, Resume::kAuto, *world);
}

TEST_F(RunFolderTest, TwoJobsDoNotShareAFolder) {
  const auto world = make_transport("local");
  const RunFolder first({scratch_ / "run"}, Resume::kNo, *world);
  EXPECT_THAT(refusal(scratch_ / "run", Resume::kNo), HasSubstr("is in use by process"));
  EXPECT_THAT(refusal(scratch_ / "run/", Resume::kAuto), HasSubstr("is in use by process"));
  EXPECT_EQ(read_lock(scratch_ / "run/run.lock").generation, first.flight().filename());
}

TEST_F(RunFolderTest, AllRanksOfAJobHaveOneGeneration) {
  std::vector<std::string> generations(3);
  run_local_ranks(3, [&](Transport& world) {
    const RunFolder folder({scratch_ / "run"}, Resume::kNo, world);
    generations[static_cast<std::size_t>(world.rank())] = folder.flight().filename();
    folder.require_held();
  });
  EXPECT_FALSE(generations[0].empty());
  EXPECT_EQ(generations, std::vector<std::string>(3, generations[0]));
}

/// Watching another's lock for a sign of life takes longer than a short deadline.
TEST_F(RunFolderTest, TheOthersWaitForRankZeroToTakeALockOver) {
  using namespace std::chrono_literals;
  LockHolder far = own_holder();
  far.place.boot = {"another"};
  scratch_.write("run/run.lock", lock_text(far));
  run_local_ranks(
      2, [&](Transport& world) { RunFolder({scratch_ / "run"}, Resume::kNo, world).require_held(); }, 1s);
}

/// Rank 1 has another disk under the same name.
TEST_F(RunFolderTest, AFolderThatIsNotSharedIsRefusedAndNotLeftBehind) {
  run_local_ranks(2, [&](Transport& world) {
    const std::string name = world.rank() == 0 ? "here/run" : "there/run";
    EXPECT_THAT(bad_input([&] { RunFolder({scratch_ / name}, Resume::kNo, world); }),
                testing::ContainsRegex("run of rank 0 is not seen by rank 1; it must be on a disk"));
  });
  EXPECT_TRUE(is_empty());
}

}  // namespace
}  // namespace coe
