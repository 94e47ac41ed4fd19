#include "kernels/decoder/cross_entropy.h"

#include <algorithm>

#include "kernels/memory/error.h"
#include "kernels/products/row_softmax.h"

namespace coe {
namespace {

void check_labels(const Tensor& logits, const Tensor& labels) {
  expect_rank("cross_entropy: logits", logits, 2);
  expect_shape("cross_entropy: labels", labels, {logits.extent(0)});
  for (const std::int32_t label : labels.span<std::int32_t>()) {
    check(label < logits.extent(1), "cross_entropy: label is ", label, ", must be below ", logits.extent(1));
  }
}

}  // namespace

double cross_entropy(const Tensor& logits, const Tensor& labels) {
  check_labels(logits, labels);
  const std::int64_t vocab = logits.extent(1);
  const float* row = logits.data<float>();
  double loss = 0;
  for (const std::int32_t label : labels.span<std::int32_t>()) {
    if (label >= 0) loss += row_logsumexp(row, vocab) - row[label];
    row += vocab;
  }
  return loss;
}

double cross_entropy_backward(const Tensor& logits, const Tensor& labels, float scale, const Tensor& dlogits) {
  check_labels(logits, labels);
  expect_shape("cross_entropy_backward: dlogits", dlogits, logits.shape());
  const std::int64_t vocab = logits.extent(1);
  const float* row = logits.data<float>();
  auto* out = dlogits.data<float>();
  double loss = 0;
  for (const std::int32_t label : labels.span<std::int32_t>()) {
    if (label >= 0) {
      const double chosen = row[label];
      loss += row_softmax(row, vocab, 1.0F, out) - chosen;
      out[label] -= 1.0F;
      for (std::int64_t i = 0; i < vocab; ++i) out[i] *= scale;
    } else {
      std::fill_n(out, vocab, 0.0F);
    }
    row += vocab;
    out += vocab;
  }
  return loss;
}

void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss, Arena& arena, const Stream& stream) {
  expect_shape("cross_entropy: loss", loss, {1});
  if (logits.on_host()) {
    *loss.data<double>() += cross_entropy(logits, labels);
    return;
  }
  ArenaScope scratch(arena);
  cuda::cross_entropy(logits, labels, loss, arena.make<double>({labels.elements()}), stream);
}

void cross_entropy_backward(const Tensor& logits, const Tensor& labels, float scale, const Tensor& dlogits,
                            const Tensor& loss, Arena& arena, const Stream& stream) {
  expect_shape("cross_entropy: loss", loss, {1});
  if (logits.on_host()) {
    *loss.data<double>() += cross_entropy_backward(logits, labels, scale, dlogits);
    return;
  }
  ArenaScope scratch(arena);
  cuda::cross_entropy_backward(logits, labels, scale, dlogits, loss, arena.make<double>({labels.elements()}), stream);
}

}  // namespace coe
