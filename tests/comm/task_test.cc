#include "comm/task.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

using Log = std::vector<std::string>;

/// Notes that it was waited for.
class Noted : public Need<Noted> {
 public:
  Noted(Log& log, const char* what, int value) : log_(&log), what_(what), value_(value) {}
  void meet() {
    if (value_ < 0) fail(ErrorCode::kPeer, what_, " did not come");
    log_->push_back(std::string("wait ") + what_);
  }
  int take() { return value_; }

 private:
  Log* log_;
  const char* what_;
  int value_;
};

struct Guard {
  explicit Guard(Log& to) : log(to) {}
  ~Guard() { log.push_back("released"); }
  Log& log;
};

Task adds(Log& log, const char* what, int value, int& sum, FrameArena& /*frames*/) {
  log.push_back(std::string("begin ") + what);
  const int first = co_await Noted(log, what, value);
  sum += first;
  log.push_back(std::string("middle ") + what);
  sum += co_await Noted(log, what, 10 * value);
  log.push_back(std::string("end ") + what);
}

Task outer(Log& log, int value, int& sum, FrameArena& frames) {
  const Guard guard(log);
  sum += co_await Noted(log, "outer", 100);
  co_await adds(log, "inner", value, sum, frames);
  log.push_back("outer goes on");
}

TEST(Task, TasksTakeTurnsWhereverTheyNeedSomething) {
  Log log;
  FrameArena frames;
  int a = 0, b = 0;
  std::vector<Task> tasks;
  tasks.push_back(adds(log, "a", 1, a, frames));
  tasks.push_back(adds(log, "b", 2, b, frames));
  EXPECT_TRUE(log.empty()) << "a Task begins when it is run";
  run(tasks);
  EXPECT_EQ(log, (Log{"begin a", "begin b", "wait a", "middle a", "wait b", "middle b", "wait a", "end a", "wait b",
                      "end b"}));
  EXPECT_EQ(a, 11);
  EXPECT_EQ(b, 22);
}

TEST(Task, ATaskWaitsForAnother) {
  Log log;
  FrameArena frames;
  int sum = 0;
  run(outer(log, 3, sum, frames));
  EXPECT_EQ(sum, 133);
  EXPECT_EQ(log, (Log{"wait outer", "begin inner", "wait inner", "middle inner", "wait inner", "end inner",
                      "outer goes on", "released"}));
}

TEST(Task, WhatIsThrownLeavesAndReleasesWhatTheTaskHolds) {
  Log log;
  FrameArena frames;
  int sum = 0;
  EXPECT_EQ(thrown_code([&] { run(outer(log, -1, sum, frames)); }), ErrorCode::kPeer);
  EXPECT_EQ(log.back(), "released");
}

TEST(Task, FramesLieInTheirArena) {
  Log log;
  log.reserve(64);
  FrameArena frames(1 << 16);
  int sum = 0;
  {
    const Task task = adds(log, "a", 1, sum, frames);
    EXPECT_GT(frames.mark().offset, 0U);
  }
  frames.reset();
  EXPECT_EQ(frames.growths(), 0);
}

TEST(Task, OutsideOfTasksANeedIsWaitedForAtOnce) {
  Log log;
  EXPECT_EQ(Noted(log, "here", 5).get(), 5);
  EXPECT_EQ(log, Log{"wait here"});
}

}  // namespace
}  // namespace coe
