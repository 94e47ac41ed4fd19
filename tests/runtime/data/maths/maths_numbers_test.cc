#include "runtime/data/maths/maths_numbers.h"

#include <gtest/gtest.h>

#include <set>

namespace coe {

namespace {

TEST(MathsNumbersTest, DrawsFromRangesAndChoices) {
  std::set<std::int64_t> ranges, choices;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const auto numbers = MathsNumbers::draw("n 3..6, p 10|25|50", {seed, 1});
    ASSERT_TRUE(numbers);
    ranges.insert(numbers->at('n'));
    choices.insert(numbers->at('p'));
  }
  EXPECT_EQ(ranges, (std::set<std::int64_t>{3, 4, 5, 6}));
  EXPECT_EQ(choices, (std::set<std::int64_t>{10, 25, 50}));
}

TEST(MathsNumbersTest, ComputesFromWhatWasDrawn) {
  const auto numbers = MathsNumbers::draw("a 7..7, b 4..4, c a*b + 2, d c / 3 - a", {1, 1});
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->at('c'), 30);
  EXPECT_EQ(numbers->at('d'), 3);
  EXPECT_EQ(numbers->text(), "a=7 b=4 c=30 d=3");
}

TEST(MathsNumbersTest, TakesProductsBeforeSums) {
  const auto numbers = MathsNumbers::draw("a 7..7, b 4..4", {1, 1});
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->evaluate("a + b * 2"), 15);
  EXPECT_EQ(numbers->evaluate("100 - a*b - b/2"), 70);
  EXPECT_EQ(numbers->evaluate("a * b / 14 * 3"), 6);
  EXPECT_EQ(numbers->evaluate("a - b * 3"), -5);
}

TEST(MathsNumbersTest, HasNoValueForAFraction) {
  const auto numbers = MathsNumbers::draw("a 7..7, b 4..4", {1, 1});
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->evaluate("a / b"), std::nullopt);
  EXPECT_EQ(numbers->evaluate("a / 0"), std::nullopt);
}

TEST(MathsNumbersTest, WritesEquationsOutAndKeepsTheirValues) {
  auto numbers = MathsNumbers::draw("a 7..7, b 4..4", {1, 1});
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->write_out("a * b = t"), "7 * 4 = 28");
  EXPECT_EQ(numbers->write_out("t - 2 * b = r"), "28 - 2 * 4 = 20");
  EXPECT_EQ(numbers->at('r'), 20);
  EXPECT_EQ(numbers->last(), 'r');
  EXPECT_EQ(numbers->text(), "a=7 b=4");
}

TEST(MathsNumbersTest, RefusesValuesBelowTwo) {
  EXPECT_FALSE(MathsNumbers::draw("a 7..7, b a - 6", {1, 1}));
  auto numbers = MathsNumbers::draw("a 7..7, b 4..4", {1, 1});
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->write_out("b - a = t"), std::nullopt);
  EXPECT_EQ(numbers->write_out("a / b = t"), std::nullopt);
}

}  // namespace

}  // namespace coe
