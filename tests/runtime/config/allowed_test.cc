#include "runtime/config/allowed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace coe {
namespace {

TEST(Allowed, WholeNumbersHaveBothEnds) {
  constexpr Whole kOneToNine{.low = 1, .high = 9};
  EXPECT_EQ(words_of(kOneToNine), "a whole number from 1 to 9");
  for (const std::int64_t in : {1, 5, 9}) EXPECT_TRUE(admits(kOneToNine, in, 0)) << in;
  for (const std::int64_t out : {-1, 0, 10}) EXPECT_FALSE(admits(kOneToNine, out, 0)) << out;
}

TEST(Allowed, AnotherKeyCanBeTheHighest) {
  constexpr Whole kUpTo{.low = 1, .bound = "layer.experts"};
  EXPECT_EQ(words_of(kUpTo), "a whole number from 1 to layer.experts");
  EXPECT_EQ(words_of(kUpTo, 5), "a whole number from 1 to 5 (layer.experts)");
  EXPECT_TRUE(admits(kUpTo, 5, 5));
  EXPECT_FALSE(admits(kUpTo, 6, 5));
  constexpr Whole kBelow{.low = -1, .bound = "model.vocab", .below_bound = true};
  EXPECT_EQ(words_of(kBelow, 256), "a whole number from -1 to below 256 (model.vocab)");
  EXPECT_TRUE(admits(kBelow, 255, 256));
  EXPECT_FALSE(admits(kBelow, 256, 256));
  EXPECT_FALSE(admits(kBelow, -2, 256));
}

TEST(Allowed, NumbersHaveOpenAndClosedEnds) {
  constexpr Real kFrom{}, kAbove{.above_low = true}, kBelow{.high = 1, .below_high = true},
      kUpTo{.low = 0.5, .high = 2};
  EXPECT_EQ(words_of(kFrom), "a finite number from 0");
  EXPECT_EQ(words_of(kAbove), "a finite number above 0");
  EXPECT_EQ(words_of(kBelow), "a number from 0 to below 1");
  EXPECT_EQ(words_of(kUpTo), "a number from 0.5 to 2");
  EXPECT_TRUE(admits(kFrom, 0.0) && admits(kBelow, 0.0) && admits(kUpTo, 0.5) && admits(kUpTo, 2.0));
  EXPECT_TRUE(admits(kAbove, 1e300) && admits(kBelow, std::nextafter(1.0, 0.0)));
  EXPECT_FALSE(admits(kFrom, -1e-300) || admits(kAbove, 0.0) || admits(kBelow, 1.0) || admits(kUpTo, 2.1));
}

TEST(Allowed, NothingButFiniteNumbers) {
  for (const double strange : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_FALSE(admits(Real{}, strange));
    EXPECT_FALSE(admits(Real{.high = 1}, strange));
  }
}

TEST(Allowed, SixDecimalPlacesAreCountedAsWritten) {
  constexpr Real kDecimal{.high = 1048576, .six_decimals = true};
  EXPECT_EQ(words_of(kDecimal), "a number from 0 to 1048576 with at most six decimal places");
  for (const double in : {0.0, 1.1, 0.000001, 123456.123456}) EXPECT_TRUE(admits(kDecimal, in)) << in;
  for (const double out : {1.0000001, 1.0 / 3}) EXPECT_FALSE(admits(kDecimal, out)) << out;
}

TEST(Allowed, WhatIsNotEmptyHasAtLeastOneLetter) {
  EXPECT_TRUE(admits(NotEmpty{}, std::filesystem::path("a")));
  EXPECT_FALSE(admits(NotEmpty{}, std::filesystem::path()));
  EXPECT_TRUE(admits(NotEmpty{}, std::vector<std::string>{""}));
  EXPECT_FALSE(admits(NotEmpty{}, std::vector<std::string>{}));
}

}  // namespace
}  // namespace coe
