#include "runtime/routing/router.h"

#include "runtime/routing/relu_router.h"
#include "runtime/routing/topk_router.h"

namespace coe {

std::unique_ptr<Router> make_router(const LayerConfig& config) {
  if (config.router == RouterKind::kRelu) return std::make_unique<ReluRouter>();
  return std::make_unique<TopkRouter>(config);
}

Routed Router::route(const Tensor& logits, const Tensor& bias, Arena& arena) const {
  Routed routed = begin_route(logits.shape(), bias, arena);
  route_tokens(logits, bias, 0, routed, arena);
  finish_route(routed, arena);
  return routed;
}

}  // namespace coe
