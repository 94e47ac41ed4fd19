#pragma once

#include "kernels/routing/route.h"

namespace coe::cuda {

/// factor[i] = scale counts[i], int32 and fp32 of one shape: the gradient of a balance loss from choices counted. Where
/// `coeff` fp64 [1] is not empty, the scale is its product with `scale`.
void scale_counts(const Tensor& counts, double scale, const Tensor& coeff, const Tensor& factor, const Stream& stream);
/// loss[0] += sum over tokens of <factor of its run, score of the token> / sum + z_scale logsumexp^2; factor [B, N] for
/// B runs of T / B tokens, or empty; fp64, in a fixed order. loss fp64 [1], `partial` fp64 [kLossParts] is scratch
/// memory.
void add_balance_loss(const TopkScores& scores, const Tensor& factor, float z_scale, const Tensor& partial,
                      const Tensor& loss, const Stream& stream);
inline constexpr int kLossParts = 256;

}  // namespace coe::cuda
