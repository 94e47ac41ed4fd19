#pragma once

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Sum over rows of -log softmax(logits)[label]: logits [T, V], labels [T] int32; accumulated in double, in row order.
/// A label below 0 counts nothing. Throws kBadInput for a label >= V.
double cross_entropy(const Tensor& logits, const Tensor& labels);

/// The same, and dlogits = scale * (softmax - one_hot) (zero rows where the label is below 0); dlogits may be logits
/// itself.
double cross_entropy_backward(const Tensor& logits, const Tensor& labels, float scale, const Tensor& dlogits);

/// The same on any device, scratch memory off the arena: loss fp64 [1] += the sum. On a device labels below V are the
/// caller's promise, logits are fp32, and dlogits are fp32 (and may be logits) or bf16 in memory of their own.
void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss, Arena& arena, const Stream& stream);
void cross_entropy_backward(const Tensor& logits, const Tensor& labels, float scale, const Tensor& dlogits,
                            const Tensor& loss, Arena& arena, const Stream& stream);

namespace cuda {

/// The same on a CUDA stream; `losses` fp64 [T] is scratch memory, summed in a fixed order.
void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss, const Tensor& losses,
                   const Stream& stream);
void cross_entropy_backward(const Tensor& logits, const Tensor& labels, float scale, const Tensor& dlogits,
                            const Tensor& loss, const Tensor& losses, const Stream& stream);

}  // namespace cuda

}  // namespace coe
