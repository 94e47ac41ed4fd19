#include "kernels/memory/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

constexpr std::uint64_t kAll = ~std::uint64_t{0};

// Random123's kat_vectors, philox4x32 with 10 rounds: counter words 0 and 1 are the counter, 2 and 3 the stream.
TEST(RandomBits, GivesThePublishedAnswers) {
  EXPECT_EQ(random_bits({0, 0}, 0), 0xe169c58d6627e8d5U);
  EXPECT_EQ(random_bits({kAll, kAll}, kAll), 0x41c83b0e408f276dU);
  EXPECT_EQ(random_bits({0x299f31d0a4093822U, 0x0370734413198a2eU}, 0x85a308d3243f6a88U), 0x94fdccebd16cfe09U);
}

TEST(RandomBits, DependOnSeedStreamAndCounter) {
  std::set<std::uint64_t> seen;
  for (const std::uint64_t step : {std::uint64_t{1}, std::uint64_t{1} << 32, std::uint64_t{1} << 63}) {
    seen.insert({random_bits({step, 0}, 0), random_bits({0, step}, 0), random_bits({0, 0}, step)});
  }
  EXPECT_EQ(seen.size(), 9U);
}

TEST(RandomUniform, IsTheTopOfTheBits) {
  // e169c5 / 2^24
  EXPECT_EQ(random_uniform({0, 0}, 0), static_cast<float>(0xe169c5) / 16777216.0F);
}

TEST(RandomBelow, StaysBelowAndReachesEverything) {
  std::vector<int> counts(7, 0);
  for (std::uint64_t i = 0; i < 7000; ++i) ++counts.at(random_below({1, 2}, i, 7));
  // Binomial: 1000 expected, deviation 29.
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
  EXPECT_EQ(random_below({1, 2}, 3, 1), 0U);
  EXPECT_EQ(thrown_code([] { random_below({1, 2}, 3, 0); }), ErrorCode::kInternal);
}

TEST(FillUniform, DrawsElementIAtCounterI) {
  const Floats x({2, 3});
  fill_uniform(x, {5, 6}, 0.0F, 1.0F);
  for (std::int64_t i = 0; i < 6; ++i) EXPECT_EQ(x[i], random_uniform({5, 6}, static_cast<std::uint64_t>(i)));
}

TEST(FillUniform, HasTheMomentsOfItsRange) {
  constexpr std::int64_t kCount = 100000;
  const Floats x({kCount});
  fill_uniform(x, {7, 8}, -1.0F, 3.0F);
  double sum = 0, squares = 0;
  for (const float value : x) {
    ASSERT_TRUE(value >= -1.0F && value < 3.0F) << value;
    sum += value;
    squares += (value - 1.0) * (value - 1.0);
  }
  EXPECT_NEAR(sum / kCount, 1.0, 0.02);            // deviation of the mean 0.0037
  EXPECT_NEAR(squares / kCount, 16.0 / 12, 0.02);  // deviation 0.0038
}

TEST(FillUniform, NeverReachesTheUpperEnd) {
  const Floats x({100000});
  fill_uniform(x, {7, 8}, 16777215.0F, 16777216.0F);  // neighbours: every sum rounds to one of them
  EXPECT_THAT(x.values(), testing::Each(16777215.0F));
  EXPECT_EQ(thrown_code([&] { fill_uniform(x, {7, 8}, 1.0F, 1.0F); }), ErrorCode::kInternal);
}

TEST(FillNormal, HasTheMomentsOfANormal) {
  constexpr std::int64_t kCount = 200000;
  const Floats x({kCount});
  fill_normal(x, {9, 10}, 2.0F, 0.5F);
  double sum = 0, squares = 0, fourths = 0, inside = 0;
  for (const float value : x) {
    const double z = (value - 2.0) / 0.5;
    sum += z;
    squares += z * z;
    fourths += z * z * z * z;
    inside += std::abs(z) < 1 ? 1 : 0;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.012);  // five deviations each
  EXPECT_NEAR(squares / kCount, 1.0, 0.016);
  EXPECT_NEAR(fourths / kCount, 3.0, 0.11);
  EXPECT_NEAR(inside / kCount, 0.682689, 0.0053);
}

TEST(FillNormal, DoesNotDependOnHowMuchIsFilled) {
  const Floats few({3}), many({50});
  fill_normal(few, {1, 1}, 0.0F, 1.0F);
  fill_normal(many, {1, 1}, 0.0F, 1.0F);
  EXPECT_TRUE(same_bits(few, many.tensor().rows(0, 3)));
}

}  // namespace
}  // namespace coe
