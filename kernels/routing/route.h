#pragma once

#include <cstdint>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe::cuda {

/// A router's decision in device memory: choices j in [offsets[t], offsets[t + 1]) belong to token t, in ascending
/// expert id. `choices` is as many as there can be: T K of top-k, T N of ReLU, T min(2 K, N) of rerouting; what stands
/// behind the last offset is undefined.
struct DeviceChoices {
  Tensor offsets;  ///< int32 [T + 1]
  Tensor expert;   ///< int32 [choices]
  Tensor weight;   ///< fp32 [choices]
  Tensor score;    ///< fp32 [choices]
  Tensor chosen;   ///< uint8 [choices], 0 where rerouting put it in; empty: the router chose all
};

/// How logits become scores, their softmax or each one's sigmoid, and scores choices: of `groups` runs of equally many
/// neighbouring experts the `groups_kept` with the largest sum of their two best (DeepSeek-V2, arXiv 2405.04434), in
/// them the top_k best, ties to the lower expert; w = scale s, or scale s over the sum of the chosen + 1e-20 where
/// `normalise`.
struct TopkRule {
  std::int64_t top_k = 1, groups = 1, groups_kept = 1;
  bool sigmoid = false, normalise = false;
  float scale = 1.0F;
};

/// What a top-k router makes of logits, fp32; with a softmax `probability` and `sum` stay empty, since they are the
/// scores and 1.
struct TopkScores {
  Tensor score;        ///< [T, N]
  Tensor sum;          ///< [T] of a token's scores, + 1e-20
  Tensor probability;  ///< [T, N] softmax of the logits; empty without logsumexp
  Tensor logsumexp;    ///< [T] of the logits; with a sigmoid it may be empty: no z-loss needs it
};

/// scores of logits fp32 [T, N] (score may be logits itself), and the choices by score + bias; bias [N] or empty.
/// Logits of a token that are not all finite count as 0, and lost[0] becomes the lower of itself and the token: lost
/// int32 [1], set to kNoneLost before. top_k and groups are at most 64, N at most 1024.
void route_topk(const Tensor& logits, const Tensor& bias, const TopkRule& rule, const TopkScores& scores,
                const DeviceChoices& choices, const Tensor& lost, const Stream& stream);
inline constexpr std::int32_t kNoneLost = 1 << 30;

/// dlogits [T, N] (overwritten) from dweight [choices], 0 for choices that were dropped. `balance` [B, N], or empty, is
/// the gradient of score / sum of the tokens of each of the B runs of T / B tokens; dlogits gets 2 z_scale logsumexp
/// probability.
void route_topk_backward(const TopkScores& scores, const DeviceChoices& choices, const TopkRule& rule,
                         const Tensor& dweight, const Tensor& balance, float z_scale, const Tensor& dlogits,
                         const Stream& stream);

/// scores = max(logits, 0), and a choice wherever it is positive, with weight = score (ReMoE, arXiv 2412.14711).
/// Logits that are not finite as in route_topk().
void route_relu(const Tensor& logits, const Tensor& scores, const DeviceChoices& choices, const Tensor& lost,
                const Stream& stream);
/// dlogits [T, N] (overwritten) = dweight + balance of the choices, 0 elsewhere; balance [1, N] or empty.
void route_relu_backward(const DeviceChoices& choices, const Tensor& dweight, const Tensor& balance,
                         const Tensor& dlogits, const Stream& stream);

}  // namespace coe::cuda
