#include "kernels/decoder/adamw.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(AdamW, FollowsTheAlgorithmOverSeveralSteps) {
  constexpr std::int64_t kCount = 37;
  const Floats weight = normal_tensor({kCount}, 1), m({kCount}), v({kCount});
  std::vector<double> w(weight.begin(), weight.end()), mean(kCount, 0.0), square(kCount, 0.0);
  AdamW options{.learning_rate = 0.01F, .weight_decay = 0.1F, .gradient_scale = 0.5F};
  for (options.step = 1; options.step <= 5; ++options.step) {
    const Floats gradient = normal_tensor({kCount}, static_cast<unsigned>(10 + options.step));
    adamw(options, gradient, weight, m, v);
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double g = 0.5 * gradient[static_cast<std::int64_t>(i)], t = static_cast<double>(options.step);
      mean[i] = 0.9 * mean[i] + 0.1 * g;
      square[i] = 0.95 * square[i] + 0.05 * g * g;
      w[i] *= 1 - 0.01 * 0.1;
      w[i] -= 0.01 * (mean[i] / (1 - std::pow(0.9, t))) / (std::sqrt(square[i] / (1 - std::pow(0.95, t))) + 1e-8);
    }
    EXPECT_LT(worst_error(weight, w), 1e-6);
    EXPECT_LT(worst_error(m, mean), 1e-6);
    EXPECT_LT(worst_error(v, square), 1e-6);
  }
}

TEST(AdamW, TheFirstStepIsTheLearningRateAgainstTheSign) {
  const Floats weight({2}, {1, 1}), gradient({2}, {1e-3F, -40}), m({2}), v({2});
  adamw({.learning_rate = 0.25F}, gradient, weight, m, v);
  EXPECT_NEAR(weight[0], 0.75, 1e-5);
  EXPECT_NEAR(weight[1], 1.25, 1e-5);
}

TEST(AdamW, DecaysWhereTheGradientIsZero) {
  const Floats weight({1}, {2}), gradient({1}), m({1}), v({1});
  adamw({.learning_rate = 0.5F, .weight_decay = 0.5F}, gradient, weight, m, v);
  EXPECT_EQ(weight[0], 1.5F);
}

TEST(AdamW, RefusesWhatDoesNotFit) {
  const Floats x({2, 2});
  EXPECT_EQ(thrown_code([&] { adamw({}, Floats({4}), x, x, x); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { adamw({.step = 0}, x, x, x, x); }), ErrorCode::kInternal);
}

TEST(SumOfSquares, IsADoubleSum) {
  EXPECT_EQ(sum_of_squares(Floats({3}, {3, -4, 12})), 169.0);
  EXPECT_EQ(sum_of_squares(Floats({0})), 0.0);
  EXPECT_EQ(sum_of_squares(Floats({2}, {1e30F, 0})), static_cast<double>(1e30F) * 1e30F);
  const Floats many = normal_tensor({1000}, 1);
  double wanted = 0;
  for (const float x : many) wanted += static_cast<double>(x) * x;
  EXPECT_NEAR(sum_of_squares(many), wanted, 1e-10);
}

}  // namespace
}  // namespace coe
