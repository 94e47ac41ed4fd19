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

TEST(AdamW, OfFlatMemoryIsTheStepOfEachTensorRounded) {
  const Floats weight = normal_tensor({9}, 1), gradient = normal_tensor({9}, 2), m({9}), v({9});
  const Floats flat({9}, weight.values()), flat_m({9}), flat_v({9});
  const Owned<Bf16> rounded({9});
  const AdamW options{.learning_rate = 0.1F, .weight_decay = 0.5F, .step = 3};
  AdamW undecayed = options;
  undecayed.weight_decay = 0;
  const auto one = [&](const AdamW& by, std::int64_t first, std::int64_t count) {
    const auto part = [&](const Tensor& x) { return x.rows(first, count); };
    adamw(by, part(gradient), part(weight), part(m), part(v));
  };
  one(options, 0, 3);
  one(undecayed, 3, 6);
  adamw(options, Owned<std::int64_t>({4}, {0, 3, 3, 9}), Owned<std::uint8_t>({3}, {1, 1, 0}), gradient, flat, flat_m,
        flat_v, rounded, host_stream());
  EXPECT_TRUE(same_bits(flat, weight));
  EXPECT_TRUE(same_bits(flat_m, m));
  EXPECT_TRUE(same_bits(flat_v, v));
  for (std::int64_t i = 0; i < 9; ++i) EXPECT_EQ(rounded[i], to_bf16(weight[i]));
}

TEST(AdamW, RefusesOffsetsThatLeaveElementsOut) {
  const Floats x({4});
  const Owned<std::uint8_t> decayed({2});
  for (const std::vector<std::int64_t>& ends : {std::vector<std::int64_t>{1, 2, 4}, {0, 2, 3}, {0, 5, 4}, {0, 4}}) {
    const Owned<std::int64_t> offsets({static_cast<std::int64_t>(ends.size())}, ends);
    EXPECT_EQ(thrown_code([&] { adamw({}, offsets, decayed, x, x, x, x, {}, host_stream()); }), ErrorCode::kInternal);
  }
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
  Arena arena;
  const Owned<double> sum({1}, {7.0});
  sum_of_squares(many, sum, arena, host_stream());
  EXPECT_EQ(sum[0], sum_of_squares(many));
}

}  // namespace
}  // namespace coe
