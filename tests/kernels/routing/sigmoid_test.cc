#include "kernels/routing/sigmoid.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/kernels/products/central_differences.h"

namespace coe {
namespace {

std::vector<double> naive_sigmoid(const Floats& logits) {
  std::vector<double> s;
  for (const float z : logits) s.push_back(1 / (1 + std::exp(-static_cast<double>(z))));
  return s;
}

TEST(Sigmoid, EqualsTheNaiveFormula) {
  for (const std::int64_t n : {1, 5, 16, 63, 64, 200}) {
    const Floats logits = normal_tensor({7, n}, 1, 4.0F), s({7, n}), sum({7});
    sigmoid(logits, s, sum);
    const auto wanted = naive_sigmoid(logits);
    EXPECT_LT(worst_error(s, wanted), 1e-6) << n;
    std::vector<double> sums(7);
    for (std::size_t i = 0; i < wanted.size(); ++i) sums[i / static_cast<std::size_t>(n)] += wanted[i];
    EXPECT_LT(worst_error(sum, sums), 1e-6) << n;
  }
}

TEST(Sigmoid, StandsLargeNumbers) {
  const Floats logits({1, 4}, {-1000, 1000, 0, 40}), s({1, 4}), sum({1});
  sigmoid(logits, s, sum);
  EXPECT_EQ(s.values(), (std::vector<float>{0, 1, 0.5, 1}));
  EXPECT_EQ(sum[0], 2.5F);
}

TEST(Sigmoid, WorksInPlace) {
  const Floats logits = normal_tensor({5, 37}, 1), s({5, 37}), sum({5}), again({5});
  sigmoid(logits, s, sum);
  sigmoid(logits, logits, again);
  EXPECT_TRUE(same_bits(logits, s));
  EXPECT_TRUE(same_bits(again, sum));
}

TEST(Sigmoid, BitsOfARowDependOnTheRowAlone) {
  constexpr std::int64_t kRows = 6, kWidth = 45;
  const Floats logits = normal_tensor({kRows, kWidth}, 1), s({kRows, kWidth}), sums({kRows});
  const Floats ds = normal_tensor({kRows, kWidth}, 2), dlogits({kRows, kWidth});
  sigmoid(logits, s, sums);
  sigmoid_backward(s, ds, dlogits);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto offset = static_cast<std::size_t>(row + 1);
    const auto slice = [&](const Tensor& x) {
      return Floats({1, kWidth}, {x[row].data<float>(), x[row].data<float>() + kWidth}, offset);
    };
    const Floats one({1, kWidth}, {}, offset), sum({1}), gradient({1, kWidth}, {}, offset);
    sigmoid(slice(logits), one, sum);
    sigmoid_backward(one, slice(ds), gradient);
    EXPECT_TRUE(same_bits(one, s.tensor().rows(row, 1)));
    EXPECT_EQ(sum[0], sums[row]);
    EXPECT_TRUE(same_bits(gradient, dlogits.tensor().rows(row, 1)));
  }
}

TEST(SigmoidBackward, EqualsCentralDifferences) {
  constexpr std::int64_t kRows = 3, kWidth = 19;
  const Floats logits = normal_tensor({kRows, kWidth}, 1), ds = normal_tensor({kRows, kWidth}, 2);
  const Floats s({kRows, kWidth}), sum({kRows});
  sigmoid(logits, s, sum);
  const auto loss = [&] {
    const auto scores = naive_sigmoid(logits);
    double total = 0;
    for (std::int64_t i = 0; i < kRows * kWidth; ++i) total += scores[static_cast<std::size_t>(i)] * ds[i];
    return total;
  };
  const auto wanted = central_differences(logits, loss);
  sigmoid_backward(s, ds, ds);
  EXPECT_LT(worst_error(ds, wanted), 1e-5);
}

TEST(Sigmoid, RefusesWhatDoesNotFit) {
  const Floats logits({2, 3});
  EXPECT_EQ(thrown_code([&] { sigmoid(logits, Floats({3, 2}), Floats({2})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { sigmoid(logits, logits, Floats({3})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { sigmoid_backward(logits, logits, Floats({2, 4})); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
