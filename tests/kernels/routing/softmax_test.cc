#include "kernels/routing/softmax.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/kernels/products/central_differences.h"

namespace coe {
namespace {

struct Wanted {
  std::vector<double> p, logsumexp;
};

Wanted naive_softmax(const Tensor& logits) {
  Wanted out;
  const std::int64_t n = logits.extent(1);
  for (std::int64_t row = 0; row < logits.extent(0); ++row) {
    const float* x = logits.data<float>() + row * n;
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]) - x[0]);
    for (std::int64_t i = 0; i < n; ++i) out.p.push_back(std::exp(static_cast<double>(x[i]) - x[0]) / sum);
    out.logsumexp.push_back(std::log(sum) + x[0]);
  }
  return out;
}

TEST(Softmax, EqualsTheNaiveFormula) {
  for (const std::int64_t n : {1, 5, 16, 63, 64, 200}) {
    const Floats logits = normal_tensor({7, n}, 1, 4.0F), p({7, n}), logsumexp({7});
    softmax(logits, p, logsumexp);
    const auto wanted = naive_softmax(logits);
    EXPECT_LT(worst_error(p, wanted.p), 1e-6) << n;
    EXPECT_LT(worst_error(logsumexp, wanted.logsumexp), 1e-6) << n;
  }
}

TEST(Softmax, StandsLargeNumbers) {
  const Floats logits({2, 3}, {1000, 1000, -1000, -1000, -1000, -1000}), p({2, 3}), logsumexp({2});
  softmax(logits, p, logsumexp);
  EXPECT_LT(worst_error(p, std::vector<double>{0.5, 0.5, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3}), 1e-7);
  EXPECT_LT(worst_error(logsumexp, std::vector<double>{1000 + std::log(2.0), -1000 + std::log(3.0)}), 1e-6);
}

TEST(Softmax, WorksInPlace) {
  const Floats logits = normal_tensor({5, 37}, 1), p({5, 37}), logsumexp({5}), again({5});
  softmax(logits, p, logsumexp);
  softmax(logits, logits, again);
  EXPECT_TRUE(same_bits(logits, p));
  EXPECT_TRUE(same_bits(again, logsumexp));
}

TEST(Softmax, NaNStaysVisible) {
  const Floats logits({1, 3}, {1, NAN, 2}), p({1, 3}), logsumexp({1});
  softmax(logits, p, logsumexp);
  EXPECT_TRUE(std::isnan(p[0]) && std::isnan(p[1]) && std::isnan(logsumexp[0]));
}

TEST(Softmax, BitsOfARowDependOnTheRowAlone) {
  constexpr std::int64_t kRows = 6, kWidth = 45;
  const Floats logits = normal_tensor({kRows, kWidth}, 1), p({kRows, kWidth}), logsumexp({kRows});
  const Floats dp = normal_tensor({kRows, kWidth}, 2), dlogits({kRows, kWidth});
  softmax(logits, p, logsumexp);
  softmax_backward(p, dp, dlogits);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto offset = static_cast<std::size_t>(row + 1);
    const auto slice = [&](const Tensor& x) {
      return Floats({1, kWidth}, {x[row].data<float>(), x[row].data<float>() + kWidth}, offset);
    };
    const Floats one({1, kWidth}, {}, offset), sum({1}), gradient({1, kWidth}, {}, offset);
    softmax(slice(logits), one, sum);
    softmax_backward(one, slice(dp), gradient);
    EXPECT_TRUE(same_bits(one, p.tensor().rows(row, 1)));
    EXPECT_EQ(sum[0], logsumexp[row]);
    EXPECT_TRUE(same_bits(gradient, dlogits.tensor().rows(row, 1)));
  }
}

TEST(SoftmaxBackward, EqualsCentralDifferences) {
  constexpr std::int64_t kRows = 3, kWidth = 19;
  const Floats logits = normal_tensor({kRows, kWidth}, 1), dp = normal_tensor({kRows, kWidth}, 2);
  const Floats p({kRows, kWidth}), logsumexp({kRows});
  softmax(logits, p, logsumexp);
  const auto loss = [&] {
    const auto probabilities = naive_softmax(logits).p;
    double sum = 0;
    for (std::int64_t i = 0; i < kRows * kWidth; ++i) sum += probabilities[static_cast<std::size_t>(i)] * dp[i];
    return sum;
  };
  const auto wanted = central_differences(logits, loss);
  softmax_backward(p, dp, dp);
  EXPECT_LT(worst_error(dp, wanted), 1e-5);
}

TEST(Softmax, RefusesWhatDoesNotFit) {
  const Floats logits({2, 3});
  EXPECT_EQ(thrown_code([&] { softmax(logits, Floats({3, 2}), Floats({2})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { softmax(logits, logits, Floats({3})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { softmax_backward(logits, logits, Floats({2, 4})); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
