#pragma once

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Causal attention of one sequence, softmax(q k^T / sqrt(d)) v, per head; q, k, v, out [S, heads * d]; p [heads, S, S]
/// keeps the probabilities for the backward (zero above the diagonal).
void attention(const Tensor& q, const Tensor& k, const Tensor& v, int heads, const Tensor& out, const Tensor& p);

/// dq, dk, dv [S, heads * d] (overwritten) from dout and the saved p. Scratch comes from the arena and is given back.
void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& p, int heads,
                        const Tensor& dout, const Tensor& dq, const Tensor& dk, const Tensor& dv, Arena& arena);

}  // namespace coe
