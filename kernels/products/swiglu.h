#pragma once

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// m = silu(a) * b; ab is [M, 2 F], a row holding a then b; m is [M, F] (Shazeer 2020, arXiv 2002.05202).
void swiglu(const Tensor& ab, const Tensor& m);

/// The backward for rows that are weighted afterwards, as an expert's are: q = Wd^T d is [M, F], w [M] the mixing
/// weights. Per row: dw = <q, m>, d(ab) from dm = w q, and weighted_m = w m (for dWd += d^T weighted_m); m is
/// recomputed from ab. dab [M, 2 F] may be ab itself; weighted_m [M, F] may be q itself.
void swiglu_backward(const Tensor& ab, const Tensor& q, const Tensor& w, const Tensor& dab, const Tensor& weighted_m,
                     const Tensor& dw);

namespace cuda {

/// The same on a CUDA stream, in fp32 or bf16 (w and dw in fp32). Only the first rows[0] of the M rows are computed,
/// the others stay as they are: `rows` int32 [1] in device memory, as the last of grouped_linear()'s offsets; empty:
/// all.
void swiglu(const Tensor& ab, const Tensor& m, const Tensor& rows, const Stream& stream);
void swiglu_backward(const Tensor& ab, const Tensor& q, const Tensor& w, const Tensor& dab, const Tensor& weighted_m,
                     const Tensor& dw, const Tensor& rows, const Stream& stream);

}  // namespace cuda

}  // namespace coe
