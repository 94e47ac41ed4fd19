#include "runtime/gate.h"

#include "kernels/gemm.h"

namespace coe {

Routed Gate::forward(const Tensor& x, std::int64_t length, Arena& arena) const {
  const Tensor logits = arena.make<float>({x.extent(0), weight_.extent(0)});
  for (std::int64_t t = 0; t < x.extent(0); t += length) linear(x.rows(t, length), weight_, logits.rows(t, length));
  return router_->route(logits, arena);
}

void Gate::backward(const Tensor& x, std::int64_t length, const Routed& routed, const Tensor& dweight,
                    const BalanceGradient& balance, const Tensor& dx, Arena& arena) const {
  ArenaScope scratch(arena);
  const Tensor dlogits = arena.make<float>(routed.scores.shape());
  router_->backward(routed, dweight, balance, dlogits);
  for (std::int64_t t = 0; t < x.extent(0); t += length) {
    linear_input_gradient(dlogits.rows(t, length), weight_, 1, dx.rows(t, length));
    linear_weight_gradient(dlogits.rows(t, length), x.rows(t, length), gradient_);
  }
}

}  // namespace coe
