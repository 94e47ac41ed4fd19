#include "runtime/layer/thread_team.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/thread_sanitizer.h"

namespace coe {
namespace {

TEST(ThreadTeam, RunsTheBodyOnceForEachThread) {
  SKIP_UNDER_THREAD_SANITIZER();
  std::vector<std::thread::id> ran(3);
  on_threads(3, [&](int thread) { ran[static_cast<std::size_t>(thread)] = std::this_thread::get_id(); });
  EXPECT_EQ(ran[0], std::this_thread::get_id());
  EXPECT_NE(ran[1], ran[0]);
  EXPECT_NE(ran[2], ran[0]);
  EXPECT_NE(ran[2], ran[1]);
  const std::vector<std::thread::id> before = ran;
  on_threads(3, [&](int thread) { ran[static_cast<std::size_t>(thread)] = std::this_thread::get_id(); });
  EXPECT_EQ(ran, before) << "a team stays the same from call to call";
}

TEST(ThreadTeam, ThrowsWhatABodyThrew) {
  SKIP_UNDER_THREAD_SANITIZER();
  std::atomic<int> ended = 0;
  const auto body = [&](int thread) {
    if (thread == 1) throw std::runtime_error("thread 1");
    ++ended;
  };
  EXPECT_THROW(on_threads(3, body), std::runtime_error);
  EXPECT_EQ(ended, 2);
}

TEST(TaskWalk, EveryTaskFallsToOneThread) {
  SKIP_UNDER_THREAD_SANITIZER();
  constexpr int kTasks = 1000;
  std::vector<std::atomic<int>> done(kTasks);
  std::atomic<std::int64_t> next = 0;
  on_threads(4, [&](int /*thread*/) {
    TaskWalk walk(next);
    for (std::atomic<int>& task : done) task += walk.is_mine() ? 1 : 0;
  });
  for (const std::atomic<int>& task : done) EXPECT_EQ(task, 1);
}

}  // namespace
}  // namespace coe
