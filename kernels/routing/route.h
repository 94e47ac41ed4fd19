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

/// How softmax scores become choices: of `groups` runs of equally many neighbouring experts the `groups_kept` with the
/// largest sum of their two best (DeepSeek-V2, arXiv 2405.04434), in them the top_k best, ties to the lower expert;
/// w = scale s, or s over the sum of the chosen + 1e-20 where `normalise`.
struct TopkRule {
  std::int64_t top_k = 1, groups = 1, groups_kept = 1;
  bool normalise = false;
  float scale = 1.0F;
};

/// scores = softmax(logits), all fp32 [T, N] (scores may be logits), logsumexp [T], and the choices by scores + bias;
/// bias [N] or empty. Logits of a token that are not all finite count as 0, and lost[0] becomes the lower of itself and
/// the token: lost int32 [1], set to kNoneLost before. top_k and groups are at most 64, N at most 1024.
void route_softmax_topk(const Tensor& logits, const Tensor& bias, const TopkRule& rule, const Tensor& scores,
                        const Tensor& logsumexp, const DeviceChoices& choices, const Tensor& lost,
                        const Stream& stream);
inline constexpr std::int32_t kNoneLost = 0x7FFFFFFF;

/// dlogits [T, N] (overwritten) from dweight [choices], 0 for choices that were dropped. `balance` [B, N] is added to
/// ds of the tokens of each of the B runs of T / B tokens, or empty; dlogits gets 2 z_scale logsumexp scores.
void route_softmax_topk_backward(const Tensor& scores, const Tensor& logsumexp, const DeviceChoices& choices,
                                 const TopkRule& rule, const Tensor& dweight, const Tensor& balance, float z_scale,
                                 const Tensor& dlogits, const Stream& stream);

/// scores = max(logits, 0), and a choice wherever it is positive, with weight = score (ReMoE, arXiv 2412.14711).
/// Logits that are not finite as in route_softmax_topk().
void route_relu(const Tensor& logits, const Tensor& scores, const DeviceChoices& choices, const Tensor& lost,
                const Stream& stream);
/// dlogits [T, N] (overwritten) = dweight + balance of the choices, 0 elsewhere; balance [1, N] or empty.
void route_relu_backward(const DeviceChoices& choices, const Tensor& dweight, const Tensor& balance,
                         const Tensor& dlogits, const Stream& stream);

/// factor[i] = scale counts[i], int32 and fp32 of one shape: the gradient of a balance loss from choices counted.
void scale_counts(const Tensor& counts, double scale, const Tensor& factor, const Stream& stream);
/// loss[0] += sum over tokens of <factor of its run, scores of the token> + z_scale logsumexp^2; factor [B, N] for B
/// runs of T / B tokens, or empty; fp64, in a fixed order. loss fp64 [1], `partial` fp64 [kLossParts] is scratch
/// memory.
void add_balance_loss(const Tensor& scores, const Tensor& factor, const Tensor& logsumexp, float z_scale,
                      const Tensor& partial, const Tensor& loss, const Stream& stream);
inline constexpr int kLossParts = 256;

}  // namespace coe::cuda
