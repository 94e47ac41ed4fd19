#include "kernels/routing/sigmoid.h"

#include "kernels/products/exp.h"
#include "kernels/products/ordered_sum.h"

namespace coe {

void sigmoid(const Tensor& logits, const Tensor& s, const Tensor& sum) {
  expect_rank("sigmoid: logits", logits, 2);
  const std::int64_t rows = logits.extent(0), n = logits.extent(1);
  expect_shape("sigmoid: s", s, logits.shape());
  expect_shape("sigmoid: sum", sum, {rows});
  const float* in = logits.data<float>();
  float* out = s.data<float>();
  for (std::int64_t row = 0; row < rows; ++row, in += n, out += n) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) out[i] = sigmoid(in[i]);
    sum.data<float>()[row] = ordered_sum(n, [=](std::int64_t i) { return out[i]; });
  }
}

void sigmoid_backward(const Tensor& s, const Tensor& ds, const Tensor& dlogits) {
  expect_rank("sigmoid_backward: s", s, 2);
  expect_shape("sigmoid_backward: ds", ds, s.shape());
  expect_shape("sigmoid_backward: dlogits", dlogits, s.shape());
  const float *score = s.data<float>(), *upstream = ds.data<float>();
  auto* out = dlogits.data<float>();
#pragma GCC ivdep
  for (std::int64_t i = 0; i < s.elements(); ++i) out[i] = score[i] * (1.0F - score[i]) * upstream[i];
}

}  // namespace coe
