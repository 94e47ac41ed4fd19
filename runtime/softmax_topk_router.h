#pragma once

#include "runtime/router.h"

namespace coe {

/// s = softmax(logits), the K largest chosen (ties to the lower expert), w = c s, or s over the sum of the chosen.
class SoftmaxTopkRouter : public Router {
 public:
  explicit SoftmaxTopkRouter(const LayerConfig& config);
  Routed route(const Tensor& logits, Arena& arena) const override;
  void backward(const Routed& routed, const Tensor& dweight, const BalanceGradient& balance,
                const Tensor& dlogits) const override;

 private:
  void weigh(const Routing& routing) const;
  /// ds of one token's choices, added to ds [N].
  void weigh_backward(const Routing& routing, std::int64_t token, const float* dweight, float* ds) const;

  std::int64_t top_k_;
  bool normalise_;
  float scale_;
};

}  // namespace coe
