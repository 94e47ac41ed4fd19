#pragma once

#include <cstdint>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

struct AdamW {
  float learning_rate = 1e-3F, beta1 = 0.9F, beta2 = 0.95F, eps = 1e-8F, weight_decay = 0.0F;
  float gradient_scale = 1.0F;  ///< What clipping multiplies gradients by.
  std::int64_t step = 1;        ///< Counts from 1, for bias correction.
};

/// One AdamW step (Loshchilov and Hutter 2019, algorithm 2: decoupled decay, bias correction) in place on weight, m, v;
/// all of one shape.
void adamw(const AdamW& options, const Tensor& gradient, const Tensor& weight, const Tensor& m, const Tensor& v);

/// Sum of squares in double, in an order that depends on the number of elements alone.
double sum_of_squares(const Tensor& x);

/// One step on any device over flat memory of several tensors, in one launch: tensor i has elements [offsets[i],
/// offsets[i + 1]) of gradient, weight, m and v, all fp32 [n], and is decayed where decayed[i] is not 0. offsets int64
/// [tensors + 1] ascend from 0 to n (on a device that is the caller's promise), decayed is uint8 [tensors], both in the
/// same memory. `rounded` bf16 [n] becomes the weights rounded to nearest even, or is empty.
void adamw(const AdamW& options, const Tensor& offsets, const Tensor& decayed, const Tensor& gradient,
           const Tensor& weight, const Tensor& m, const Tensor& v, const Tensor& rounded, const Stream& stream);

/// sum fp64 [1] (overwritten) = the sum of squares of x, on any device; scratch memory is taken off the arena.
void sum_of_squares(const Tensor& x, const Tensor& sum, Arena& arena, const Stream& stream);

/// What a step's options make of an element.
struct AdamWFactors {
  float gradient_scale, toward_slope, beta2, toward_square;  ///< toward_slope is 1 - beta1, toward_square 1 - beta2.
  float inverse_root, eps, step_size, decay;
};

namespace cuda {

/// The same on a CUDA stream, with the CPU's bits.
void adamw(const AdamWFactors& by, const Tensor& offsets, const Tensor& decayed, const Tensor& gradient,
           const Tensor& weight, const Tensor& m, const Tensor& v, const Tensor& rounded, const Stream& stream);

/// `partial` fp64 [kSquareParts] is scratch memory. The order depends on the number of elements alone.
inline constexpr int kSquareParts = 512;
void sum_of_squares(const Tensor& x, const Tensor& sum, const Tensor& partial, const Stream& stream);

}  // namespace cuda

}  // namespace coe
