#pragma once

#include "runtime/routing/router.h"

namespace coe {

/// s = softmax(logits), or each sigmoid(logit) (DeepSeek-V3, arXiv 2412.19437, section 2.1.2); the K largest s + bias
/// of the groups kept are chosen (ties to the lower expert), w = c s, or c s over the sum of the chosen where K > 1
/// (the bias: Wang et al. 2024, arXiv 2408.15664).
class TopkRouter : public Router {
 public:
  explicit TopkRouter(const LayerConfig& config, const Stream& stream = host_stream());

  Routed begin_route(Shape logits, const Tensor& bias, Arena& arena) const override;
  void route_tokens(const Tensor& logits, const Tensor& bias, std::int64_t first, const Routed& routed,
                    Arena& scratch) const override;
  void finish_route(Routed& routed, Arena& arena) const override;
  void weigh(const Routing& routing) const override;
  void backward(const Routed& routed, const Tensor& dweight, const BalanceGradient& balance,
                const Tensor& dlogits) const override;

 private:
  bool ranks_by_score(const Tensor& bias) const { return bias.elements() == 0 && rule_.groups_kept == rule_.groups; }
  /// Logits [n, N] of tokens from `first` on become their scores.
  void score(const Tensor& logits, std::int64_t first, const Routed& routed) const;
  void rank(const Tensor& scores, const Tensor& bias, const Tensor& ranking, Arena& scratch) const;
  /// What weights are divided by, of one token.
  float divisor(const Routing& routing, std::int64_t token) const;
  void weigh_token(const Routing& routing, std::int64_t token) const;
  /// ds [N] of one token (overwritten) from its balance losses' gradient [N] with respect to s over the sum of s.
  void balance_backward(const Routed& routed, std::int64_t token, const float* dshare, float* ds) const;
  /// ds of one token's choices, added to ds [N].
  void weigh_backward(const Routing& routing, std::int64_t token, const float* dweight, float* ds) const;

  cuda::TopkRule rule_;
  bool z_loss_;
};

/// How scores become choices in a layer with a top-k router.
cuda::TopkRule topk_rule(const LayerConfig& config);

}  // namespace coe
