#pragma once

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// y = x / sqrt(mean(x^2) + eps) * weight; x, y [T, D], weight [D]; inverse_rms [T] is saved for the backward.
void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, const Tensor& inverse_rms);

/// dx += its gradient, dweight [D] += its gradient, from dy [T, D] and the saved inverse_rms.
void rms_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight);

/// The same on any device; scratch memory is taken off the arena.
void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, const Tensor& inverse_rms,
              const Stream& stream);
void rms_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight, Arena& arena, const Stream& stream);

namespace cuda {

/// The same on a CUDA stream: x, y, dy and dx in fp32 or bf16, the others in fp32. `partial` fp32
/// [kNormParts, D] is scratch memory; its sums are added to dweight in a fixed order.
inline constexpr int kNormParts = 1024;
void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, const Tensor& inverse_rms,
              const Stream& stream);
void rms_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight, const Tensor& partial, const Stream& stream);

}  // namespace cuda

}  // namespace coe
