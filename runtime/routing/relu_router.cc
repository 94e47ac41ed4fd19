#include "runtime/routing/relu_router.h"

#include <algorithm>
#include <limits>

#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr double kL1Step = 1.2, kLowestL1 = 1e-8;

}  // namespace

double next_l1_coeff(const LayerConfig& layer, double l1_coeff, double sparsity) {
  const double wanted = 1 - static_cast<double>(layer.top_k) / static_cast<double>(layer.experts);
  const double lowest = std::min<double>(kLowestL1, layer.l1_coeff);
  return std::clamp<double>(sparsity < wanted ? l1_coeff * kL1Step : l1_coeff / kL1Step, lowest, kHighestL1);
}

Routed ReluRouter::begin_route(Shape logits, const Tensor& /*bias*/, Arena& arena) const {
  Routed routed;
  routed.scores = routed.ranking = arena.make<float>(logits);
  if (!on_host()) {
    const Tensor offsets = arena.make<std::int32_t>({logits[0] + 1});
    routed.routing = make_routing(logits[1], offsets, logits.elements(), arena);
    return routed;
  }
  routed.counts = arena.zeros<std::int32_t>({1, logits[1]});
  routed.routing.experts = logits[1];
  routed.routing.offsets = arena.zeros<std::int32_t>({logits[0] + 1});
  return routed;
}

void ReluRouter::route_tokens(const Tensor& logits, const Tensor& /*bias*/, std::int64_t first, const Routed& routed,
                              Arena& /*scratch*/) const {
  if (!on_host()) {
    return cuda::route_relu(logits, routed.scores, routed.routing.on_device(), routed.lost, stream());
  }
  const std::int64_t experts = logits.extent(1);
  auto* const offsets = routed.routing.offsets.data<std::int32_t>() + first;
  auto* const counts = routed.counts.data<std::int32_t>();
  for (std::int64_t t = 0; t < logits.extent(0); ++t) {
    const float* row = logits.data<float>() + t * experts;
    float* score = routed.scores.data<float>() + (first + t) * experts;
    // std::max(0, NaN) would hide a NaN as an idle expert.
    std::transform(row, row + experts, score, [](float z) { return z < 0 ? 0.0F : z; });
    if (!std::all_of(score, score + experts, [](float r) { return r <= std::numeric_limits<float>::max(); })) {
      fail(ErrorCode::kNonFinite, "relu router: a logit of token ", first + t, " is not finite");
    }
    std::int32_t chosen = 0;
    for (std::int64_t e = 0; e < experts; ++e) {
      const std::int32_t active = score[e] > 0 ? 1 : 0;
      counts[e] += active;
      chosen += active;
    }
    offsets[t + 1] = offsets[t] + chosen;
  }
}

void ReluRouter::finish_route(Routed& routed, Arena& arena) const {
  if (!on_host()) return count(routed, arena);
  Routing& routing = routed.routing;
  const std::int64_t choices = routing.offsets.data<std::int32_t>()[routing.tokens()];
  routing = make_routing(routing.experts, routing.offsets, choices, arena);
  std::int64_t choice = 0;
  for (std::int64_t i = 0; i < routed.scores.elements(); ++i) {
    const float score = routed.scores.data<float>()[i];
    if (score <= 0) continue;
    routing.expert.data<std::int32_t>()[choice] = static_cast<std::int32_t>(i % routing.experts);
    routing.score.data<float>()[choice++] = score;
  }
  weigh(routing);
}

void ReluRouter::weigh(const Routing& routing) const {
  std::ranges::copy(routing.score.span<float>(), routing.weight.data<float>());
}

void ReluRouter::backward(const Routed& routed, const Tensor& dweight, const BalanceGradient& balance,
                          const Tensor& dlogits) const {
  if (!on_host()) {
    return cuda::route_relu_backward(routed.routing.on_device(), dweight, balance.score, dlogits, stream());
  }
  const Routing& routing = routed.routing;
  const auto* offsets = routing.offsets.data<std::int32_t>();
  const auto* expert = routing.expert.data<std::int32_t>();
  const bool balanced = balance.score.elements() > 0;
  std::ranges::fill(dlogits.span<float>(), 0.0F);
  for (std::int64_t t = 0; t < routing.tokens(); ++t) {
    float* row = dlogits.data<float>() + t * routing.experts;
    for (std::int32_t j = offsets[t]; j < offsets[t + 1]; ++j) {
      row[expert[j]] = dweight.data<float>()[j] + (balanced ? balance.score.data<float>()[expert[j]] : 0.0F);
    }
  }
}

}  // namespace coe
