#include "kernels/products/exp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace coe {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// |got - e^x| in units of the last place of a float at e^x.
double ulps(float x) {
  const double wanted = std::exp(static_cast<double>(x));
  const int exponent = std::max(std::ilogb(wanted), -126);
  return std::abs(fast_exp(x) - wanted) / std::ldexp(1.0, exponent - 23);
}

TEST(FastExp, IsWithinTwoUlpsOverTheWholeRange) {
  double worst = 0;
  for (float x = -104.0F; x < 88.722F; x += 0.00037F) worst = std::max(worst, ulps(x));
  for (float x = 1e-30F; x < 1.0F; x *= 1.001F) worst = std::max({worst, ulps(x), ulps(-x)});
  EXPECT_LT(worst, 2.0);
}

TEST(FastExp, OfZeroIsOne) {
  EXPECT_EQ(fast_exp(0.0F), 1.0F);
  EXPECT_EQ(fast_exp(-0.0F), 1.0F);
}

TEST(FastExp, PassesInfinitiesAndNaN) {
  const float largest = std::numeric_limits<float>::max();
  EXPECT_EQ(fast_exp(kInfinity), kInfinity);
  EXPECT_EQ(fast_exp(largest), kInfinity);
  EXPECT_EQ(fast_exp(88.73F), kInfinity);
  EXPECT_EQ(fast_exp(-kInfinity), 0.0F);
  EXPECT_EQ(fast_exp(-largest), 0.0F);
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(fast_exp(-std::numeric_limits<float>::quiet_NaN())));
}

TEST(FastExp, AscendsAcrossTheUnderflow) {
  float before = fast_exp(-105.0F);
  for (float x = -105.0F; x < -86.0F; x += 0.01F) {
    EXPECT_GE(fast_exp(x), before) << x;
    before = fast_exp(x);
  }
}

TEST(Sigmoid, EndsAtZeroAndOne) {
  EXPECT_EQ(sigmoid(0.0F), 0.5F);
  EXPECT_EQ(sigmoid(200.0F), 1.0F);
  EXPECT_EQ(sigmoid(-200.0F), 0.0F);
  EXPECT_TRUE(std::isnan(sigmoid(NAN)));
}

}  // namespace
}  // namespace coe
