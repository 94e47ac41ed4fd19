#pragma once

#include <cstdint>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Products of Linears of which each has rows of its own: group g has rows [offsets[g], offsets[g + 1]) of x [n, K] and
/// y [n, N], and weight w[g] of w [G, N, K]; offsets int32 [G + 1] ascend from 0 within n. Rows behind the last offset
/// are neither read nor written.
///
/// y = x w[g]^T.
void grouped_linear(const Tensor& x, const Tensor& w, const Tensor& offsets, const Tensor& y);
/// dx = dy w[g].
void grouped_linear_input_gradient(const Tensor& dy, const Tensor& w, const Tensor& offsets, const Tensor& dx);
/// dw[g] += dy^T x over the group's rows.
void grouped_linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& offsets, const Tensor& dw);

namespace cuda {

/// Bytes of scratch memory that a product of so many groups needs.
std::int64_t grouped_workspace_bytes(std::int64_t groups);

/// The same on a CUDA stream; offsets are read on the device. Operands are both fp32 or both bf16, y and dx of their
/// dtype, dw fp32; sums are in fp32, and a number depends on its row, its column and the summed rows alone. `workspace`
/// uint8 [>= grouped_workspace_bytes(G)], used by one product at a time.
void grouped_linear(const Tensor& x, const Tensor& w, const Tensor& offsets, const Tensor& y, const Tensor& workspace,
                    const Stream& stream);
void grouped_linear_input_gradient(const Tensor& dy, const Tensor& w, const Tensor& offsets, const Tensor& dx,
                                   const Tensor& workspace, const Stream& stream);
void grouped_linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& offsets, const Tensor& dw,
                                    const Tensor& workspace, const Stream& stream);

}  // namespace cuda
}  // namespace coe
