#include "launcher/train/run_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "kernels/memory/error.h"
#include "tests/bad_input.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr RunLock::Times kQuick{.beat = 10ms, .patience = 200ms};

/// While it lives, this process can open no file.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

class RunLockTest : public ::testing::Test {
 protected:
  void leave(const LockHolder& holder) { scratch_.write("run.lock", lock_text(holder)); }
  LockHolder left() const { return read_lock(lock_path(scratch_.path())); }
  RunLock::Say say() {
    return [this](const std::string& line) { said_ += line; };
  }
  std::string refusal() {
    return bad_input([&] { RunLock(scratch_.path(), say(), kQuick); });
  }

  Scratch scratch_;
  std::string said_;
};

TEST_F(RunLockTest, SaysWhoHoldsTheFolderAndGoesWithTheHolder) {
  {
    const RunLock lock(scratch_.path(), say(), kQuick);
    EXPECT_EQ(left().place.process, getpid());
    EXPECT_EQ(left().generation, lock.generation());
    lock.require_held();
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path()));
  EXPECT_EQ(said_, "");
}

TEST_F(RunLockTest, ReadsBackWhatItWrites) {
  LockHolder holder = own_holder();
  holder.beats = 17;
  leave(holder);
  EXPECT_EQ(left(), holder);
}

TEST_F(RunLockTest, OneThatCannotBeReadIsNotTakenForAbsent) {
  leave(own_holder());
  {
    const NoDescriptors none;
    try {
      left();
      ADD_FAILURE() << "it was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kSystem);
      EXPECT_THAT(error.what(), HasSubstr("run.lock: cannot be read: Too many open files"));
    }
  }
  EXPECT_EQ(left().place.process, getpid());
  std::filesystem::remove(lock_path(scratch_.path()));
  EXPECT_EQ(left().generation, "");
}

TEST_F(RunLockTest, AHolderWhoCannotReadItForAWhileGoesOnWithItsSignsOfLife) {
  const RunLock lock(scratch_.path(), say(), kQuick);
  {
    const NoDescriptors none;
    std::this_thread::sleep_for(100ms);
    lock.require_held();
  }
  EXPECT_THAT(said_, HasSubstr("is still this job's is not known: "));
  const std::int64_t before = left().beats;
  for (int i = 0; i < 1000 && left().beats <= before; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_GT(left().beats, before);
}

TEST_F(RunLockTest, ASecondHolderIsRefusedAndNamed) {
  const RunLock lock(scratch_.path(), say(), kQuick);
  EXPECT_THAT(refusal(), HasSubstr("is in use by process " + std::to_string(getpid()) + " on "));
  EXPECT_EQ(left().generation, lock.generation());
}

/// The holder lives, though the system's lock cannot be seen, as on a disk that has none.
TEST_F(RunLockTest, AHolderOfThisMachineIsAskedFor) {
  leave(own_holder());
  EXPECT_THAT(refusal(), HasSubstr("is in use by process"));
}

TEST_F(RunLockTest, WhatADeadProcessLeftIsTakenOverAtOnce) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  LockHolder dead = own_holder();
  dead.place.process = child;
  leave(dead);
  const RunLock lock(scratch_.path(), say(), kQuick);
  EXPECT_NE(lock.generation(), dead.generation);
  EXPECT_EQ(said_, "");
}

TEST_F(RunLockTest, ANumberThatAnotherProcessHasByNowIsNoHolder) {
  LockHolder dead = own_holder();
  dead.place.started -= 1;
  leave(dead);
  const RunLock lock(scratch_.path(), say(), kQuick);
  EXPECT_EQ(left().generation, lock.generation());
}

TEST_F(RunLockTest, AHolderElsewhereThatShowsNoLifeIsTakenOver) {
  for (const bool another_machine : {true, false}) {
    LockHolder far = own_holder();
    if (another_machine) far.place.boot = {"another"};
    if (!another_machine) far.place.processes += 1;
    far.place.process = 1;
    leave(far);
    said_.clear();
    const RunLock lock(scratch_.path(), say(), kQuick);
    EXPECT_THAT(said_, HasSubstr("was held by process 1 on "));
    EXPECT_EQ(left().generation, lock.generation());
  }
}

TEST_F(RunLockTest, AHolderElsewhereThatShowsLifeIsLeftAlone) {
  LockHolder far = own_holder();
  far.place.host = {"far"};
  far.place.boot = {"another"};
  leave(far);
  std::jthread beating([&](const std::stop_token& stop) {
    for (; !stop.stop_requested(); std::this_thread::sleep_for(5ms)) {
      ++far.beats;
      std::ofstream(lock_path(scratch_.path()), std::ios::in) << lock_text(far);
    }
  });
  EXPECT_THAT(refusal(), HasSubstr("on far since"));
}

TEST_F(RunLockTest, ItsHolderShowsLife) {
  const RunLock lock(scratch_.path(), say(), kQuick);
  for (int i = 0; i < 1000 && left().beats < 3; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_GE(left().beats, 3);
}

TEST_F(RunLockTest, WhoWasTakenOverWritesNoMore) {
  std::optional<RunLock> lock(std::in_place, scratch_.path(), say(), kQuick);
  LockHolder other = own_holder();
  leave(other);
  std::this_thread::sleep_for(50ms);
  try {
    lock->require_held();
    ADD_FAILURE() << "another holds it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_THAT(error.what(), HasSubstr("has taken it over"));
  }
  lock.reset();
  EXPECT_EQ(left(), other) << "the other's lock is its own";
}

TEST_F(RunLockTest, NorDoesOneWhoseFollowerHasEndedSince) {
  const RunLock lock(scratch_.path(), say(), kQuick);
  leave(own_holder());
  std::filesystem::remove(lock_path(scratch_.path()));
  try {
    lock.require_held();
    ADD_FAILURE() << "another has had it";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("has taken it over"));
  }
}

TEST_F(RunLockTest, ALockRemovedByHandIsStillTheJobs) {
  const RunLock lock(scratch_.path(), say(), kQuick);
  std::filesystem::remove(lock_path(scratch_.path()));
  lock.require_held();
}

TEST_F(RunLockTest, ALockThatCannotBeWrittenIsAnErrorOfTheSystem) {
  EXPECT_THROW(RunLock("/proc", say(), kQuick), Error);
}

}  // namespace
}  // namespace coe
