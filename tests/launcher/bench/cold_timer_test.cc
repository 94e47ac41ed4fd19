#include "launcher/bench/cold_timer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(ColdTimerOnRanks, LastsUntilTheSlowestRankIsDone) {
  on_ranks(2, [](Transport& world) {
    ColdTimer timer({&world});
    int calls = 0;
    const double seconds = timer.time([&] {
      ++calls;
      if (world.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    });
    EXPECT_EQ(calls, 1);
    EXPECT_GE(seconds, 0.029);
    double sum = seconds;
    all_reduce_sum<double>({&world}, {&sum, 1}, {"test"});
    EXPECT_EQ(sum, 2 * seconds);
  });
}

}  // namespace
}  // namespace coe
