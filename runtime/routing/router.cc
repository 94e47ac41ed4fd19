#include "runtime/routing/router.h"

#include <algorithm>

#include "runtime/routing/relu_router.h"
#include "runtime/routing/topk_router.h"

namespace coe {

std::unique_ptr<Router> make_router(const LayerConfig& config, const Stream& stream) {
  if (config.router == RouterKind::kRelu) return std::make_unique<ReluRouter>(stream);
  return std::make_unique<TopkRouter>(config, stream);
}

cuda::TopkScores Routed::on_device() const {
  const bool apart = probability.raw() != scores.raw();
  return {scores, score_sum, apart ? probability : Tensor(), logsumexp};
}

Routing Router::make_routing(std::int64_t experts, const Tensor& offsets, std::int64_t choices, Arena& arena) const {
  Routing routing{.experts = experts,
                  .offsets = offsets,
                  .expert = arena.make<std::int32_t>({choices}),
                  .weight = arena.make<float>({choices}),
                  .score = arena.make<float>({choices}),
                  .chosen = {},
                  .kept = {}};
  if (!on_host()) return routing;
  routing.chosen = arena.make<std::uint8_t>({choices});
  routing.kept = arena.make<std::uint8_t>({choices});
  std::ranges::fill(routing.chosen.span<std::uint8_t>(), std::uint8_t{1});
  std::ranges::fill(routing.kept.span<std::uint8_t>(), std::uint8_t{1});
  return routing;
}

void Router::count(Routed& routed, Arena& arena) const {
  const Routing& routing = routed.routing;
  const auto [totals, earlier] = count_choices(routing.on_device(), routing.kept, routing.experts, arena, *stream_);
  routed.counts = totals;
  routed.earlier = earlier;
}

Routed Router::route(const Tensor& logits, const Tensor& bias, Arena& arena) const {
  Routed routed = begin_route(logits.shape(), bias, arena);
  route_tokens(logits, bias, 0, routed, arena);
  finish_route(routed, arena);
  return routed;
}

}  // namespace coe
