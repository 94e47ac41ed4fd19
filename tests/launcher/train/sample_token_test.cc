#include "launcher/train/sample_token.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "kernels/memory/error.h"

namespace coe {
namespace {

TEST(SampleToken, WithoutTemperatureTheMostLikelyIsTaken) {
  EXPECT_EQ(sample_token(std::array{1.0F, 3.0F, 3.0F, 2.0F}, 0, 0.99), 1);
}

TEST(SampleToken, EveryTokenHasItsShareOfTheUnitInterval) {
  // Probabilities 1/2, 1/4, 1/4.
  const std::array logits{std::log(2.0F), 0.0F, 0.0F};
  EXPECT_EQ(sample_token(logits, 1, 0.0), 0);
  EXPECT_EQ(sample_token(logits, 1, 0.49), 0);
  EXPECT_EQ(sample_token(logits, 1, 0.51), 1);
  EXPECT_EQ(sample_token(logits, 1, 0.74), 1);
  EXPECT_EQ(sample_token(logits, 1, 0.76), 2);
  EXPECT_EQ(sample_token(logits, 1, 0.9999999), 2);
}

TEST(SampleToken, TemperatureDividesTheLogits) {
  // At a temperature of 2, log 4 weighs 2 against 1.
  const std::array logits{std::log(4.0F), 0.0F};
  EXPECT_EQ(sample_token(logits, 2, 0.66), 0);
  EXPECT_EQ(sample_token(logits, 2, 0.67), 1);
}

TEST(SampleToken, LargeLogitsDoNotOverflow) { EXPECT_EQ(sample_token(std::array{-1e4F, 1e4F}, 1, 0.5), 1); }

TEST(SampleToken, ANegativeTemperatureIsRefused) { EXPECT_THROW(sample_token(std::array{1.0F}, -1, 0.5), Error); }

}  // namespace
}  // namespace coe
