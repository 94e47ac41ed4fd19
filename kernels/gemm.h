#pragma once

#include <span>
#include <string_view>

#include "kernels/stream.h"
#include "kernels/tensor.h"

namespace coe {

enum class Transpose : bool { kNo, kYes };

/// out = op(a) op(b) + beta out, in fp32, row-major, on the calling thread.
///
/// op(a) is [M, K], op(b) [K, N], out [M, N]; a, b and out have two axes and are contiguous. beta is 0 (out may hold
/// anything, NaN included) or 1. The bits of a row depend on M, N and K alone: neither on addresses nor on other
/// threads. M, N or K may be 0. Throws kInternal where shapes do not fit.
void gemm(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b, float beta,
          const Tensor& out);

/// y = x W^T: x [M, K], w [N, K], y [M, N]; the product of a Linear whose weight is [out, in].
void linear(const Tensor& x, const Tensor& w, const Tensor& y);
/// dx = beta dx + dy W.
void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx);
/// dw += dy^T x.
void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw);

/// The linked libraries that time_gemm() knows; gemm() uses the first.
std::span<const std::string_view> gemm_libraries();
/// Seconds of one linear(x, w, y) by a library. OpenBLAS, which is not thread-safe, runs one product at a time in a
/// process. Throws kBadInput for a library that is not linked.
double time_gemm(std::string_view library, const Tensor& x, const Tensor& w, const Tensor& y);

namespace cuda {

/// The same products on a CUDA stream. Operands are both fp32 or both bf16, results are of their dtype or fp32, dw
/// fp32; sums are in fp32, in an order that depends on the summed extent alone: no split, no TF32. beta is 0 or 1.
void linear(const Tensor& x, const Tensor& w, const Tensor& y, const Stream& stream);
void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx, const Stream& stream);
void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw, const Stream& stream);

}  // namespace cuda

}  // namespace coe
