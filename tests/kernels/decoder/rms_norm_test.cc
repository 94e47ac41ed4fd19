#include "kernels/decoder/rms_norm.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/kernels/products/central_differences.h"

namespace coe {
namespace {

constexpr float kEps = 1e-6F;

std::vector<double> naive_norm(const Tensor& x, const Tensor& weight) {
  const std::int64_t d = x.extent(1);
  std::vector<double> y;
  for (std::int64_t row = 0; row < x.extent(0); ++row) {
    const float* in = x.data<float>() + row * d;
    double squares = 0;
    for (std::int64_t i = 0; i < d; ++i) squares += static_cast<double>(in[i]) * in[i];
    const double rms = std::sqrt(squares / static_cast<double>(d) + kEps);
    for (std::int64_t i = 0; i < d; ++i) y.push_back(in[i] / rms * weight.data<float>()[i]);
  }
  return y;
}

double loss(const Tensor& x, const Tensor& weight, const Tensor& dy) {
  const auto y = naive_norm(x, weight);
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy.span<float>()[i];
  return sum;
}

std::vector<double> plus(std::vector<double> sum, const Floats& start) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += start[static_cast<std::int64_t>(i)];
  return sum;
}

TEST(RmsNorm, EqualsTheNaiveFormula) {
  for (const std::int64_t d : {1, 15, 32, 128, 200}) {
    const Floats x = normal_tensor({4, d}, 1, 3.0F), weight = normal_tensor({d}, 2), y({4, d}), inverse({4});
    rms_norm(x, weight, kEps, y, inverse);
    EXPECT_LT(worst_error(y, naive_norm(x, weight)), 1e-6) << d;
  }
}

TEST(RmsNorm, OfThreeAndFourIsByHand) {
  const Floats x({1, 2}, {3, 4}), weight({2}, {1, 2}), y({1, 2}), inverse({1});
  rms_norm(x, weight, 0.0F, y, inverse);  // the mean of 9 and 16 is 12.5
  EXPECT_NEAR(inverse[0], 1 / std::sqrt(12.5), 1e-7);
  EXPECT_NEAR(y[0], 3 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(y[1], 8 / std::sqrt(12.5), 1e-6);
}

TEST(RmsNorm, ARowOfZerosStaysZero) {
  const Floats x({1, 3}), weight({3}, {1, 1, 1}), y({1, 3}), inverse({1});
  rms_norm(x, weight, kEps, y, inverse);
  EXPECT_EQ(y.values(), std::vector<float>(3, 0.0F));
}

TEST(RmsNormBackward, AddsCentralDifferences) {
  for (const std::int64_t d : {3, 32, 37}) {
    const Floats x = normal_tensor({3, d}, 1, 2.0F), weight = normal_tensor({d}, 2), dy = normal_tensor({3, d}, 3);
    const Floats dx = normal_tensor({3, d}, 4), dweight = normal_tensor({d}, 5), y({3, d}), inverse({3});
    const auto value = [&] { return loss(x, weight, dy); };
    const auto wanted_dx = plus(central_differences(x, value), dx);
    const auto wanted_dweight = plus(central_differences(weight, value), dweight);
    rms_norm(x, weight, kEps, y, inverse);
    rms_norm_backward(x, weight, inverse, dy, dx, dweight);
    EXPECT_LT(worst_error(dx, wanted_dx), 3e-5) << d;
    EXPECT_LT(worst_error(dweight, wanted_dweight), 3e-5) << d;
  }
}

TEST(RmsNorm, BitsOfARowDependOnTheRowAlone) {
  constexpr std::int64_t kRows = 5, kWidth = 77;
  const Floats x = normal_tensor({kRows, kWidth}, 1), weight = normal_tensor({kWidth}, 2), y({kRows, kWidth});
  const Floats inverse({kRows}), dy = normal_tensor({kRows, kWidth}, 3), dx({kRows, kWidth}), dweight({kWidth});
  rms_norm(x, weight, kEps, y, inverse);
  rms_norm_backward(x, weight, inverse, dy, dx, dweight);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto offset = static_cast<std::size_t>(row + 1);
    const auto span = x.tensor()[row].span<float>(), upstream = dy.tensor()[row].span<float>();
    const Floats one({1, kWidth}, {span.begin(), span.end()}, offset), one_y({1, kWidth}, {}, offset), one_inverse({1});
    const Floats one_dy({1, kWidth}, {upstream.begin(), upstream.end()}, offset + 1), one_dx({1, kWidth}, {}, offset);
    rms_norm(one, weight, kEps, one_y, one_inverse);
    rms_norm_backward(one, weight, one_inverse, one_dy, one_dx, dweight);
    EXPECT_TRUE(same_bits(one_y, y.tensor().rows(row, 1)));
    EXPECT_EQ(one_inverse[0], inverse[row]);
    EXPECT_TRUE(same_bits(one_dx, dx.tensor().rows(row, 1)));
  }
}

TEST(RmsNorm, RefusesWhatDoesNotFit) {
  const Floats x({2, 3}), weight({3}), inverse({2});
  EXPECT_EQ(thrown_code([&] { rms_norm(x, Floats({2}), kEps, x, inverse); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { rms_norm(x, weight, kEps, x, Floats({3})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { rms_norm_backward(x, weight, inverse, x, x, Floats({2})); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
