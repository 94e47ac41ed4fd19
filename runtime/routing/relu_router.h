#pragma once

#include "runtime/routing/router.h"

namespace coe {

/// ReMoE's lambda for the next optimiser step: more, while a smaller share of the pairs (token, expert) than 1 - K/N is
/// zero, else less (arXiv 2412.14711, section 3.3). It stays within 1e4 and 1e-8, or what it began with where that is
/// less, so that it never needs long to come back.
double next_l1_coeff(const LayerConfig& layer, double l1_coeff, double sparsity);

/// ReMoE's router: R = relu(logits), every expert with R > 0 chosen, w = R (arXiv 2412.14711, section 3.2).
class ReluRouter : public Router {
 public:
  explicit ReluRouter(const Stream& stream = host_stream()) : Router(stream) {}
  Routed begin_route(Shape logits, const Tensor& bias, Arena& arena) const override;
  void route_tokens(const Tensor& logits, const Tensor& bias, std::int64_t first, const Routed& routed,
                    Arena& scratch) const override;
  void finish_route(Routed& routed, Arena& arena) const override;
  void weigh(const Routing& routing) const override;
  void backward(const Routed& routed, const Tensor& dweight, const BalanceGradient& balance,
                const Tensor& dlogits) const override;
};

}  // namespace coe
