#include "kernels/routing/softmax.h"

#include "kernels/products/row_softmax.h"

namespace coe {

void softmax(const Tensor& logits, const Tensor& p, const Tensor& logsumexp) {
  expect_rank("softmax: logits", logits, 2);
  const std::int64_t rows = logits.extent(0), n = logits.extent(1);
  expect_shape("softmax: p", p, logits.shape());
  expect_shape("softmax: logsumexp", logsumexp, {rows});
  const float* in = logits.data<float>();
  auto *out = p.data<float>(), *sums = logsumexp.data<float>();
  for (std::int64_t row = 0; row < rows; ++row) {
    sums[row] = static_cast<float>(row_softmax(in + row * n, n, 1.0F, out + row * n));
  }
}

void softmax_backward(const Tensor& p, const Tensor& dp, const Tensor& dlogits) {
  expect_rank("softmax_backward: p", p, 2);
  expect_shape("softmax_backward: dp", dp, p.shape());
  expect_shape("softmax_backward: dlogits", dlogits, p.shape());
  const std::int64_t rows = p.extent(0), n = p.extent(1);
  const float *probability = p.data<float>(), *upstream = dp.data<float>();
  auto* out = dlogits.data<float>();
  for (std::int64_t begin = 0; begin < rows * n; begin += n) {
    row_softmax_backward(probability + begin, upstream + begin, n, 1.0F, out + begin);
  }
}

}  // namespace coe
