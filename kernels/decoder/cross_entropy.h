#pragma once

#include "kernels/memory/tensor.h"

namespace coe {

/// Sum over rows of -log softmax(logits)[label]: logits [T, V], labels [T] int32; accumulated in double, in row order.
/// A label below 0 counts nothing. Throws kBadInput for a label >= V.
double cross_entropy(const Tensor& logits, const Tensor& labels);

/// The same, and dlogits = scale * (softmax - one_hot) (zero rows where the label is below 0); dlogits may be logits
/// itself.
double cross_entropy_backward(const Tensor& logits, const Tensor& labels, float scale, const Tensor& dlogits);

}  // namespace coe
