#include "launcher/bench/spread.h"

#include <gtest/gtest.h>

#include "tests/bad_input.h"

namespace coe {
namespace {

TEST(Spread, IsTheMiddleAndBothEnds) {
  const Spread odd = spread_of({5, 1, 9});
  EXPECT_EQ(odd.median, 5);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 9);
  EXPECT_EQ(spread_of({4, 3, 2, 1}).median, 3);
  EXPECT_EQ(spread_of({7}).max, 7);
}

TEST(Spread, OfARatioComparesWhatWasMeasuredTogether) {
  const Spread ratio = spread_of_ratio({2, 20, 9}, {1, 4, 3});
  EXPECT_EQ(ratio.min, 2);
  EXPECT_EQ(ratio.median, 3);
  EXPECT_EQ(ratio.max, 5);
}

TEST(Spread, RefusesNothingAndUnevenLists) {
  bad_input([] { spread_of({}); });
  bad_input([] { spread_of_ratio({1}, {1, 2}); });
}

}  // namespace
}  // namespace coe
