#pragma once

#include <cstdint>

#include "kernels/memory/random.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

// What makes routing random while it is trained. Numbers are drawn where they are used, and drawn again for the
// backward.

/// Which numbers belong to tokens, of each the row of a tensor. What changes from step to step stands on the stream's
/// device, so that work which a graph repeats draws others.
struct TokenDraw {
  Tensor step;               ///< int64 [2]: RandomKey::seed, and the step's token from which `token` counts
  std::uint64_t stream = 0;  ///< RandomKey::stream
  std::int64_t token = 0;    ///< of the first row; number i of row t stands at counter (step[1] + token + t) * row + i
};

/// out = x times factors uniform in [1 - eps, 1 + eps) (Switch, arXiv 2101.03961); x, out of one shape, fp32.
void jitter(const Tensor& x, const TokenDraw& draw, float eps, const Tensor& out, const Stream& stream);
/// dx += dout times the same factors.
void jitter_backward(const Tensor& dout, const TokenDraw& draw, float eps, const Tensor& dx, const Stream& stream);

/// logits += n softplus(noise) with n normal (Shazeer et al. 2017, arXiv 1701.06538, section 2.1); noise becomes
/// n sigmoid(noise), the derivative of a logit by its noise. Both fp32 [T, N].
void add_router_noise(const Tensor& logits, const Tensor& noise, const TokenDraw& draw, const Stream& stream);
/// dnoise = slope dlogits, fp32; dnoise may be dlogits.
void router_noise_backward(const Tensor& slope, const Tensor& dlogits, const Tensor& dnoise, const Stream& stream);

namespace cuda {

/// The same on a CUDA stream; what jitter takes and gives may be bf16.
void jitter(const Tensor& x, const TokenDraw& draw, float eps, const Tensor& out, const Stream& stream);
void jitter_backward(const Tensor& dout, const TokenDraw& draw, float eps, const Tensor& dx, const Stream& stream);
void add_router_noise(const Tensor& logits, const Tensor& noise, const TokenDraw& draw, const Stream& stream);
void router_noise_backward(const Tensor& slope, const Tensor& dlogits, const Tensor& dnoise, const Stream& stream);

}  // namespace cuda
}  // namespace coe
