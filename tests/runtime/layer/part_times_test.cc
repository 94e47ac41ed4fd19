#include "runtime/layer/part_times.h"

#include <gtest/gtest.h>

#include <thread>

namespace coe {
namespace {

TEST(PartTimer, TakesItsTimeOffThePartThatItRunsInside) {
  PartTimes times;
  {
    const PartTimer combine(times, Part::kCombine);
    const PartTimer gate(times, Part::kGate, Part::kCombine);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_GE(times[Part::kGate], 0.020);
  EXPECT_GE(times[Part::kCombine], 0.0);
  EXPECT_LT(times[Part::kCombine], times[Part::kGate]);
}

}  // namespace
}  // namespace coe
