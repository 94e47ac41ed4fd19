#include "kernels/products/swiglu.h"

#include <algorithm>
#include <array>

#include "kernels/memory/error.h"
#include "kernels/products/exp.h"
#include "kernels/products/ordered_sum.h"

namespace coe {
namespace {

/// Checks ab [M, 2 F] and returns {M, F}.
Shape half_shape(const Tensor& ab) {
  expect_rank("swiglu: ab", ab, 2);
  if (ab.extent(1) % 2 != 0) fail(ErrorCode::kInternal, "swiglu: ab is ", ab.shape().text(), ", must be [M, 2 F]");
  return {ab.extent(0), ab.extent(1) / 2};
}

/// One row of swiglu_backward; returns <q, m>.
float weighted_row(const float* a, const float* b, const float* q, float w, std::int64_t width, float* da, float* db,
                   float* weighted_m) {
  constexpr std::int64_t kBlock = 256;  // a multiple of OrderedSum::kLanes
  std::array<float, kBlock> terms;
  OrderedSum<float> dw;
  for (std::int64_t begin = 0; begin < width; begin += kBlock) {
    const std::int64_t end = std::min(begin + kBlock, width);
    float* term = terms.data() - begin;
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) {
      const float gate = a[i], up = b[i], s = sigmoid(gate), silu = gate * s, m = silu * up, dm = w * q[i];
      term[i] = q[i] * m;
      da[i] = dm * up * (s * (1.0F + gate * (1.0F - s)));
      db[i] = dm * silu;
      weighted_m[i] = w * m;
    }
    dw.add(end - begin, [&](std::int64_t i) { return terms[static_cast<std::size_t>(i)]; });
  }
  return dw.total();
}

}  // namespace

void swiglu(const Tensor& ab, const Tensor& m) {
  const Shape half = half_shape(ab);
  expect_shape("swiglu: m", m, half);
  const float* in = ab.data<float>();
  auto* out = m.data<float>();
  for (std::int64_t row = 0; row < half[0]; ++row) {
    const float *a = in + row * 2 * half[1], *b = a + half[1];
    float* product = out + row * half[1];
    for (std::int64_t i = 0; i < half[1]; ++i) product[i] = a[i] * sigmoid(a[i]) * b[i];
  }
}

void swiglu_backward(const Tensor& ab, const Tensor& q, const Tensor& w, const Tensor& dab, const Tensor& weighted_m,
                     const Tensor& dw) {
  const Shape half = half_shape(ab);
  expect_shape("swiglu_backward: q", q, half);
  expect_shape("swiglu_backward: w", w, {half[0]});
  expect_shape("swiglu_backward: dab", dab, ab.shape());
  expect_shape("swiglu_backward: weighted_m", weighted_m, half);
  expect_shape("swiglu_backward: dw", dw, {half[0]});
  const float *in = ab.data<float>(), *upstream = q.data<float>(), *weights = w.data<float>();
  auto *out = dab.data<float>(), *products = weighted_m.data<float>(), *dots = dw.data<float>();
  for (std::int64_t row = 0; row < half[0]; ++row) {
    const std::int64_t wide = row * 2 * half[1], narrow = row * half[1];
    dots[row] = weighted_row(in + wide, in + wide + half[1], upstream + narrow, weights[row], half[1], out + wide,
                             out + wide + half[1], products + narrow);
  }
}

}  // namespace coe
