#pragma once

#include "runtime/routing/router.h"

namespace coe {

/// s = softmax(logits), the K largest s + bias of the groups kept are chosen (ties to the lower expert), w = c s, or s
/// over the sum of the chosen (the bias: Wang et al. 2024, arXiv 2408.15664).
class SoftmaxTopkRouter : public Router {
 public:
  explicit SoftmaxTopkRouter(const LayerConfig& config);
  Routed begin_route(Shape logits, const Tensor& bias, Arena& arena) const override;
  void route_tokens(const Tensor& logits, const Tensor& bias, std::int64_t first, const Routed& routed,
                    Arena& scratch) const override;
  void finish_route(Routed& routed, Arena& arena) const override;
  void weigh(const Routing& routing) const override;
  void backward(const Routed& routed, const Tensor& dweight, const BalanceGradient& balance,
                const Tensor& dlogits) const override;

 private:
  bool ranks_by_score(const Tensor& bias) const { return bias.elements() == 0 && groups_kept_ == groups_; }
  void rank(const Tensor& scores, const Tensor& bias, const Tensor& ranking, Arena& scratch) const;
  void weigh_token(const Routing& routing, std::int64_t token) const;
  /// ds of one token's choices, added to ds [N].
  void weigh_backward(const Routing& routing, std::int64_t token, const float* dweight, float* ds) const;

  std::int64_t top_k_, groups_, groups_kept_;
  bool normalise_;
  float scale_;
};

}  // namespace coe
