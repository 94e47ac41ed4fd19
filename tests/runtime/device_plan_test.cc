#include "runtime/device_plan.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

TEST(DevicePlan, MostRowsAreThoseOfARankThatGetsAllChoices) {
  EXPECT_EQ(most_rows(Placement(64, 1), 100, 4, 0), 400);
  EXPECT_EQ(most_rows(Placement(64, 4), 100, 4, 0), 400);  // all choices of every token may be of one rank
  EXPECT_EQ(most_rows(Placement(7, 4), 100, 4, 0), 200);   // the first rank holds 2 of 7
  EXPECT_EQ(most_rows(Placement(7, 4), 100, 4, 30), 60);   // of which each takes 30
  EXPECT_EQ(most_rows(Placement(7, 4), 100, 4, 1000), 200);
  EXPECT_EQ(most_rows(Placement(7, 4), 0, 4, 0), 0);
}

}  // namespace
}  // namespace coe
