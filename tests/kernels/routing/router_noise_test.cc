#include "kernels/routing/router_noise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/memory/owned_tensor.h"

namespace coe {
namespace {

constexpr RandomKey kKey{3, 9};
constexpr std::int64_t kFirst = (std::int64_t{1} << 33) + 5, kToken = 7;

/// Whose first token is number kFirst.
TokenDraw draw_from(const Owned<std::int64_t>& step) { return {step, kKey.stream, kToken}; }
Owned<std::int64_t> step_numbers() {
  return Owned<std::int64_t>({2}, {static_cast<std::int64_t>(kKey.seed), kFirst - kToken});
}

/// Fewer and more than what is drawn at once.
constexpr std::int64_t kSizes[] = {0, 1, 512, 1000, 5001};

TEST(RouterNoise, JitterTakesTheNumbersOfItsCounterThereAndBack) {
  const auto step = step_numbers();
  for (const std::int64_t n : kSizes) {
    const Floats factor({n}), x = normal_tensor({n}, 1), dx = normal_tensor({n}, 2), before({n}, dx.values());
    fill_uniform(factor, kKey, 0.75F, 1.25F, kFirst);
    const Floats out({n});
    jitter(x, draw_from(step), 0.25F, out, host_stream());
    jitter_backward(x, draw_from(step), 0.25F, dx, host_stream());
    for (std::int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(out[i], x[i] * factor[i]);
      EXPECT_FLOAT_EQ(dx[i], before[i] + x[i] * factor[i]);
    }
  }
}

TEST(RouterNoise, PartsGetTheNumbersOfTheWhole) {
  const Floats x = normal_tensor({3, 700}, 1), whole({3, 700}), parts({3, 700});
  const auto step = step_numbers();
  TokenDraw draw = draw_from(step);
  jitter(x, draw, 0.25F, whole, host_stream());
  for (std::int64_t row = 0; row < 3; ++row, ++draw.token) {
    jitter(x.tensor().rows(row, 1), draw, 0.25F, parts.tensor().rows(row, 1), host_stream());
  }
  EXPECT_EQ(parts.values(), whole.values());
}

TEST(RouterNoise, NoiseIsNormalTimesSoftplusAndKeepsItsDerivative) {
  const auto step = step_numbers();
  for (const std::int64_t n : kSizes) {
    const Floats drawn({n}), logits = normal_tensor({n}, 3), noise = normal_tensor({n}, 4, 20);
    const Floats sum({n}, logits.values()), slope({n}, noise.values()), dlogits = normal_tensor({n}, 5), dnoise({n});
    fill_normal(drawn, kKey, 0, 1, kFirst);
    add_router_noise(sum, slope, draw_from(step), host_stream());
    router_noise_backward(slope, dlogits, dnoise, host_stream());
    for (std::int64_t i = 0; i < n; ++i) {
      const double x = noise[i], softplus = std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
      EXPECT_NEAR(sum[i], logits[i] + drawn[i] * softplus, 1e-5 * (1 + std::abs(x)));
      EXPECT_NEAR(slope[i], drawn[i] / (1 + std::exp(-x)), 1e-5);
      EXPECT_EQ(dnoise[i], slope[i] * dlogits[i]);
    }
  }
}

}  // namespace
}  // namespace coe
