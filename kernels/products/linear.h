#pragma once

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "kernels/products/gemm.h"

namespace coe {

// The products of a Linear layer whose weight w is [outputs, inputs], in fp32, row-major, on the calling thread: x is
// [rows, inputs], y [rows, outputs], rows may be 0. The bits of a row depend on that row and on w alone. Throws
// kInternal where shapes do not fit.

/// y = x W^T.
void linear(const Tensor& x, const Tensor& w, const Tensor& y);
/// The same, with the same bits, from what pack_weight made of w.
void linear(const Tensor& x, const PackedMatrix& w, const Tensor& y);
PackedMatrix pack_weight(const Tensor& w, Arena& arena);
/// dx = beta dx + dy W; beta is 0 (dx may hold anything, NaN included) or 1.
void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx);
/// dw += dy^T x.
void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw);

/// Some rows and columns of a matrix.
struct MatrixBlock {
  std::int64_t row, rows, column, columns;
};
/// The same in one block of dw alone, with the same bits: threads may share out what is summed over one set of rows.
void linear_weight_gradient(const Tensor& dy, const Tensor& x, const MatrixBlock& block, const Tensor& dw);

/// A weight as many products of few rows want it: packed where that helps. Views the weight and an arena.
struct LinearWeight {
  Tensor value;  ///< [outputs, inputs]
  PackedMatrix packed;
};
LinearWeight ready_weight(const Tensor& w, Arena& arena);

// The same products on any device; scratch memory is taken off the arena.
void linear(const Tensor& x, const Tensor& w, const Tensor& y, Arena& arena, const Stream& stream);
void linear(const Tensor& x, const LinearWeight& w, const Tensor& y, Arena& arena, const Stream& stream);
void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx, Arena& arena,
                           const Stream& stream);
void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw, Arena& arena, const Stream& stream);

namespace cuda {

/// The same products on a CUDA stream. Operands are both fp32 or both bf16, results are of their dtype or fp32, dw
/// fp32; sums are in fp32, in an order that depends on the shapes alone: no TF32. beta is 0 or 1. `workspace` is memory
/// of linear_workspace_bytes(rows, n, k) or more, uint8, for a product of w [n, k]; 16-byte aligned.
std::int64_t linear_workspace_bytes(std::int64_t rows, std::int64_t n, std::int64_t k);
void linear(const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& workspace, const Stream& stream);
void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx, const Tensor& workspace,
                           const Stream& stream);
/// Where dw is small, runs of rows are summed beside one another first.
void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw, const Tensor& workspace,
                            const Stream& stream);

}  // namespace cuda

}  // namespace coe
