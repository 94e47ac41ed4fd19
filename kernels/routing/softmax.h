#pragma once

#include "kernels/memory/tensor.h"

namespace coe {

/// p = softmax over the last axis, and logsumexp [T] of each row; logits, p [T, N]; p may be logits itself.
void softmax(const Tensor& logits, const Tensor& p, const Tensor& logsumexp);

/// dlogits = p * (dp - <p, dp>) row by row; all [T, N]; dlogits may be dp itself.
void softmax_backward(const Tensor& p, const Tensor& dp, const Tensor& dlogits);

}  // namespace coe
