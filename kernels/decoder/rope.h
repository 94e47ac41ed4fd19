#pragma once

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Cosine and sine of position * theta^(-2 i / d), i < d / 2: each [S, d / 2].
void rope_table(float theta, const Tensor& cosine, const Tensor& sine);

/// Rotates the two halves of every head of one sequence in place, (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin): x
/// [S, heads * d]; the tables are [>= S, d / 2]. `inverse` turns the other way, which is the backward.
void rope(const Tensor& x, int heads, const Tensor& cosine, const Tensor& sine, bool inverse);

/// The same on any device for rows of several documents: row r of x [T, heads * d] stands at position positions[r],
/// int32 [T], of its own; x is fp32, or bf16 on a device. Throws kBadInput for a position that the tables do not hold;
/// on a device that is the caller's promise.
void rope(const Tensor& x, int heads, const Tensor& cosine, const Tensor& sine, const Tensor& positions, bool inverse,
          const Stream& stream);

namespace cuda {

/// The same on a CUDA stream, arguments checked.
void rope(const Tensor& x, int heads, const Tensor& cosine, const Tensor& sine, const Tensor& positions, bool inverse,
          const Stream& stream);

}  // namespace cuda

}  // namespace coe
