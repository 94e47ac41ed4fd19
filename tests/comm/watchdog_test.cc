#include "comm/watchdog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace coe {
namespace {

using std::chrono::milliseconds;

TEST(Watchdog, CallThatTakesTooLongIsReportedOnceAndGoesOn) {
  std::atomic<int> reports = 0;
  std::string said;
  {
    const Watchdog watchdog("mpi transport: MPI_Init", milliseconds(50), [&](const std::string& sentence) {
      said = sentence;
      ++reports;
    });
    std::this_thread::sleep_for(milliseconds(300));
  }
  EXPECT_EQ(reports, 1);
  EXPECT_EQ(said, "mpi transport: MPI_Init did not end within 0.05 s");
}

TEST(WatchdogDeathTest, WhoIsToldMayEndTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto hang = [] {
    const Watchdog watchdog("a call", milliseconds(50), [](const std::string&) { _exit(7); });
    std::this_thread::sleep_for(std::chrono::seconds(30));
  };
  EXPECT_EXIT(hang(), testing::ExitedWithCode(7), "^$");
}

TEST(WatchdogDeathTest, WithoutAnybodyToTellItIsSaidOnStderrAndTheProcessLives) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto hang = [] {
    {
      const Watchdog watchdog("a call", milliseconds(50));
      std::this_thread::sleep_for(milliseconds(300));
    }
    _exit(9);
  };
  EXPECT_EXIT(hang(), testing::ExitedWithCode(9), "^a call did not end within 0.05 s\n$");
}

TEST(Watchdog, CallThatEndsInTimeIsLeftAlone) {
  {
    const Watchdog watchdog("a quick call", milliseconds(100), [](const std::string& said) { ADD_FAILURE() << said; });
  }
  std::this_thread::sleep_for(milliseconds(200));
}

}  // namespace
}  // namespace coe
