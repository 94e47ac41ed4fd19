#pragma once

#include "kernels/tensor.h"

namespace coe {

/// y = x / sqrt(mean(x^2) + eps) * weight; x, y [T, D], weight [D]; inverse_rms [T] is saved for the backward.
void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, const Tensor& inverse_rms);

/// dx += its gradient, dweight [D] += its gradient, from dy [T, D] and the saved inverse_rms.
void rms_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight);

}  // namespace coe
