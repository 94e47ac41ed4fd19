#include "runtime/relu_router.h"

#include <algorithm>
#include <limits>

#include "kernels/error.h"

namespace coe {

Routed ReluRouter::route(const Tensor& logits, const Tensor& /*bias*/, Arena& arena) const {
  const std::int64_t tokens = logits.extent(0), experts = logits.extent(1);
  Routed routed;
  routed.scores = routed.ranking = arena.make<float>(logits.shape());
  Routing& routing = routed.routing;
  routing.experts = experts;
  routing.offsets = arena.make<std::int32_t>({tokens + 1});
  auto* offsets = routing.offsets.data<std::int32_t>();
  offsets[0] = 0;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const float* row = logits.data<float>() + t * experts;
    float* score = routed.scores.data<float>() + t * experts;
    // std::max(0, NaN) would hide a NaN as an idle expert.
    std::transform(row, row + experts, score, [](float z) { return z < 0 ? 0.0F : z; });
    if (!std::all_of(score, score + experts, [](float r) { return r <= std::numeric_limits<float>::max(); })) {
      fail(ErrorCode::kNonFinite, "relu router: a logit of token ", t, " is not finite");
    }
    offsets[t + 1] =
        offsets[t] + static_cast<std::int32_t>(std::count_if(score, score + experts, [](float r) { return r > 0; }));
  }

  const std::int64_t choices = offsets[tokens];
  routing.expert = arena.make<std::int32_t>({choices});
  routing.weight = arena.make<float>({choices});
  routing.score = arena.make<float>({choices});
  routing.chosen = arena.make<std::uint8_t>({choices});
  routing.kept = arena.make<std::uint8_t>({choices});
  std::ranges::fill(routing.chosen.span<std::uint8_t>(), std::uint8_t{1});
  std::ranges::fill(routing.kept.span<std::uint8_t>(), std::uint8_t{1});
  std::int64_t choice = 0;
  for (std::int64_t i = 0; i < tokens * experts; ++i) {
    const float score = routed.scores.data<float>()[i];
    if (score <= 0) continue;
    routing.expert.data<std::int32_t>()[choice] = static_cast<std::int32_t>(i % experts);
    routing.score.data<float>()[choice++] = score;
  }
  weigh(routing);
  return routed;
}

void ReluRouter::weigh(const Routing& routing) const {
  std::ranges::copy(routing.score.span<float>(), routing.weight.data<float>());
}

void ReluRouter::backward(const Routed& routed, const Tensor& dweight, const BalanceGradient& balance,
                          const Tensor& dlogits) const {
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
