#pragma once

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "kernels/products/linear.h"

namespace coe {

// The products of a gate, on any device: its weight w [N, D], logits and their gradient [T, N] are fp32 whatever the
// tokens' dtype is, x and dx [T, D] fp32, on a device fp32 or bf16; T may be 0. On the host they are linear()'s, bits
// included. With bf16 tokens each is one product on tensor cores, in which an fp32 number is the sum of two bf16, to
// 2^-17 of it; sums are in fp32, in an order that depends on the shapes alone. Scratch memory is taken off the arena.

/// logits = x w^T.
void router_logits(const Tensor& x, const LinearWeight& w, const Tensor& logits, Arena& arena, const Stream& stream);
/// dx = beta dx + dlogits w; beta is 0 (dx may hold anything, NaN included) or 1.
void router_input_gradient(const Tensor& dlogits, const Tensor& w, float beta, const Tensor& dx, Arena& arena,
                           const Stream& stream);
/// dw += dlogits^T x.
void router_weight_gradient(const Tensor& dlogits, const Tensor& x, const Tensor& dw, Arena& arena,
                            const Stream& stream);

namespace cuda {

/// What stands around those products of bf16, on a CUDA stream. A high half is the nearest bf16 of a number, a low half
/// the nearest of what is left.

/// out bf16 [rows, parts, width] = halves of x fp32 [rows, columns]: the low ones in part `low`, the high ones in all
/// others, then zeros up to `width`, a multiple of 8. out is 16-byte aligned.
void split_halves(const Tensor& x, std::int64_t low, const Tensor& out, const Stream& stream);
/// out fp32 [rows, columns] = beta out + sums[:, 0] + sums[:, 1], of sums fp32 [rows, 2, width]; beta is 0 or 1.
void add_halves(const Tensor& sums, float beta, const Tensor& out, const Stream& stream);

}  // namespace cuda
}  // namespace coe
