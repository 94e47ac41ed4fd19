#include "kernels/products/swiglu.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

constexpr std::array<std::int64_t, 6> kWidths = {1, 7, 16, 88, 256, 300};

std::vector<double> naive_swiglu(const Tensor& ab) {
  const std::int64_t f = ab.extent(1) / 2;
  std::vector<double> m;
  for (std::int64_t row = 0; row < ab.extent(0); ++row) {
    for (std::int64_t i = 0; i < f; ++i) {
      const double a = ab.data<float>()[row * 2 * f + i], b = ab.data<float>()[row * 2 * f + f + i];
      m.push_back(a / (1 + std::exp(-a)) * b);
    }
  }
  return m;
}

/// Central differences of sum_i dm_i m_i by every element of ab.
std::vector<double> numeric_gradient(const Floats& ab, const std::vector<double>& dm) {
  constexpr float kStep = 0x1p-8F;
  const std::int64_t wide = ab.tensor().extent(1), f = wide / 2;
  std::vector<double> gradient;
  for (std::int64_t at = 0; at < ab.tensor().elements(); ++at) {
    const std::int64_t row = at / wide, i = at % wide % f;
    const auto loss = [&](float step) {
      const Floats pair({1, 2}, {ab[row * wide + i], ab[row * wide + f + i]});
      pair[at % wide / f] += step;
      return naive_swiglu(pair)[0] * dm[static_cast<std::size_t>(row * f + i)];
    };
    gradient.push_back((loss(kStep) - loss(-kStep)) / (2 * kStep));
  }
  return gradient;
}

TEST(Swiglu, EqualsTheNaiveFormula) {
  for (const std::int64_t f : kWidths) {
    const Floats ab = normal_tensor({5, 2 * f}, 1, 3.0F), m({5, f});
    swiglu(ab, m);
    EXPECT_LT(worst_error(m, naive_swiglu(ab)), 1e-6) << f;
  }
}

TEST(Swiglu, EndsAtTheLineAndAtZero) {
  const Floats ab({1, 4}, {200, -200, 3, 3}), m({1, 2});
  swiglu(ab, m);
  EXPECT_EQ(m[0], 600.0F);
  EXPECT_EQ(m[1], 0.0F);
}

TEST(SwigluBackward, EqualsTheFormulasRowByRow) {
  for (const std::int64_t f : kWidths) {
    const Floats ab = normal_tensor({3, 2 * f}, 1, 2.0F), q = normal_tensor({3, f}, 2), w({3}, {0.5F, -2.0F, 0.0F});
    const Floats dab({3, 2 * f}), weighted_m({3, f}), dw({3});
    swiglu_backward(ab, q, w, dab, weighted_m, dw);
    const auto m = naive_swiglu(ab);
    std::vector<double> dm, wanted_m, wanted_dw(3, 0.0);
    for (std::int64_t i = 0; i < 3 * f; ++i) {
      dm.push_back(static_cast<double>(w[i / f]) * q[i]);
      wanted_m.push_back(w[i / f] * m[static_cast<std::size_t>(i)]);
      wanted_dw[static_cast<std::size_t>(i / f)] += q[i] * m[static_cast<std::size_t>(i)];
    }
    EXPECT_LT(worst_error(dab, numeric_gradient(ab, dm)), 5e-5) << f;
    EXPECT_LT(worst_error(weighted_m, wanted_m), 1e-6) << f;
    EXPECT_LT(worst_error(dw, wanted_dw), 1e-5) << f;
  }
}

TEST(SwigluBackward, WorksInPlace) {
  const Floats ab = normal_tensor({4, 74}, 1), q = normal_tensor({4, 37}, 2), w = normal_tensor({4}, 3);
  const Floats dab({4, 74}), weighted_m({4, 37}), dw({4}), again({4});
  swiglu_backward(ab, q, w, dab, weighted_m, dw);
  swiglu_backward(ab, q, w, ab, q, again);
  EXPECT_TRUE(same_bits(ab, dab));
  EXPECT_TRUE(same_bits(q, weighted_m));
  EXPECT_TRUE(same_bits(again, dw));
}

TEST(Swiglu, BitsOfARowDependOnTheRowAlone) {
  constexpr std::int64_t kRows = 6, kF = 301;
  const Floats ab = normal_tensor({kRows, 2 * kF}, 1), q = normal_tensor({kRows, kF}, 2), w = normal_tensor({kRows}, 3);
  const Floats m({kRows, kF}), dab({kRows, 2 * kF}), weighted({kRows, kF}), dw({kRows});
  swiglu(ab, m);
  swiglu_backward(ab, q, w, dab, weighted, dw);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto offset = static_cast<std::size_t>(row + 1);
    const auto copy = [&](const Tensor& x) {
      const auto span = x.rows(row, 1).span<float>();
      return Floats({1, x.extent(1)}, {span.begin(), span.end()}, offset);
    };
    const Floats one = copy(ab), one_q = copy(q), one_m({1, kF}, {}, offset);
    const Floats one_dw({1});
    swiglu(one, one_m);
    swiglu_backward(one, one_q, w.tensor().rows(row, 1), one, one_q, one_dw);
    EXPECT_TRUE(same_bits(one_m, m.tensor().rows(row, 1)));
    EXPECT_TRUE(same_bits(one, dab.tensor().rows(row, 1)));
    EXPECT_TRUE(same_bits(one_q, weighted.tensor().rows(row, 1)));
    EXPECT_EQ(one_dw[0], dw[row]);
  }
}

TEST(Swiglu, RefusesWhatDoesNotFit) {
  const Floats ab({2, 6}), m({2, 3}), w({2});
  EXPECT_EQ(thrown_code([&] { swiglu(Floats({2, 5}), m); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { swiglu(ab, Floats({2, 6})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { swiglu_backward(ab, m, Floats({3}), ab, m, w); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
