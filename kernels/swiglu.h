#pragma once

#include "kernels/tensor.h"

namespace coe {

/// m = silu(a) * b; ab is [M, 2 F], a row holding a then b; m is [M, F] (MATH.md, Expert).
void swiglu(const Tensor& ab, const Tensor& m);

/// d(ab) from dm [M, F] and the saved ab [M, 2 F]; dab is [M, 2 F] and may be ab itself.
void swiglu_backward(const Tensor& ab, const Tensor& dm, const Tensor& dab);

/// The same for rows that are weighted afterwards, as an expert's are: q = Wd^T d is [M, F], w [M] the mixing weights.
/// Per row: dw = <q, m>, dm = w q, dab from dm, and weighted_m = w m (for dWd += d^T weighted_m). m is recomputed from
/// ab. dab [M, 2 F] may be ab itself; weighted_m [M, F] may be q itself.
void swiglu_backward_weighted(const Tensor& ab, const Tensor& q, const Tensor& w, const Tensor& dab,
                              const Tensor& weighted_m, const Tensor& dw);

}  // namespace coe
