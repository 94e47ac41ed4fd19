#include "comm/watchdog.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

using std::chrono::milliseconds;

TEST(WatchdogDeathTest, CallThatTakesTooLongEndsTheProcessWithOneSentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto hang = [] {
    const Watchdog watchdog("mpi transport: MPI_Init", milliseconds(50));
    std::this_thread::sleep_for(std::chrono::seconds(30));
  };
  EXPECT_EXIT(hang(), testing::ExitedWithCode(1), "^mpi transport: MPI_Init did not end within 0.05 s\n$");
}

TEST(Watchdog, CallThatEndsInTimeIsLeftAlone) {
  { const Watchdog watchdog("a quick call", milliseconds(100)); }
  std::this_thread::sleep_for(milliseconds(200));
}

}  // namespace
}  // namespace coe
