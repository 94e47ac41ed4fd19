#include "runtime/routing/topk_router.h"

#include <algorithm>
#include <cmath>

#include "kernels/memory/error.h"
#include "kernels/products/ordered_sum.h"
#include "kernels/routing/rows.h"
#include "kernels/routing/sigmoid.h"
#include "kernels/routing/softmax.h"
#include "kernels/routing/topk.h"
#include "runtime/routing/expert_groups.h"

namespace coe {
namespace {

constexpr float kNormFloor = 1e-20F;

/// Of the experts that the router chose for one token, whether they kept their place or not.
float sum_of_scores(const Routing& routing, std::int64_t token) {
  const auto* offsets = routing.offsets.data<std::int32_t>();
  const auto* score = routing.score.data<float>();
  const auto* chosen = routing.chosen.data<std::uint8_t>();
  float sum = 0;
  for (std::int32_t j = offsets[token]; j < offsets[token + 1]; ++j) sum += chosen[j] != 0 ? score[j] : 0.0F;
  return sum + kNormFloor;
}

/// `numbers` are not finite where a logit is not: `width` of each token from `first` on.
void expect_finite(const Tensor& numbers, std::int64_t width, std::int64_t first) {
  const auto all = numbers.span<float>();
  const auto bad = std::ranges::find_if_not(all, [](float number) { return std::isfinite(number); });
  if (bad != all.end()) {
    fail(ErrorCode::kNonFinite, "top-k router: a logit of token ", first + (bad - all.begin()) / width,
         " is not finite");
  }
}

}  // namespace

cuda::TopkRule topk_rule(const LayerConfig& config) {
  return {.top_k = config.top_k,
          .groups = config.groups,
          .groups_kept = config.groups_kept,
          .sigmoid = config.router == RouterKind::kSigmoidTopk,
          .normalise = config.normalises_weights(),
          .scale = config.routed_scaling_factor};
}

TopkRouter::TopkRouter(const LayerConfig& config, const Stream& stream)
    : Router(stream), rule_(topk_rule(config)), z_loss_(config.z_loss_coeff != 0) {}

Routed TopkRouter::begin_route(Shape logits, const Tensor& bias, Arena& arena) const {
  const std::int64_t tokens = logits[0];
  Routed routed;
  routed.scores = arena.make<float>(logits);
  if (rule_.sigmoid) routed.score_sum = arena.make<float>({tokens});
  routed.probability = rule_.sigmoid && z_loss_ ? arena.make<float>(logits) : routed.scores;
  if (!rule_.sigmoid || z_loss_) routed.logsumexp = arena.make<float>({tokens});
  routed.routing = make_routing(logits[1], arena.make<std::int32_t>({tokens + 1}), tokens * rule_.top_k, arena);
  if (!on_host()) return routed;
  routed.ranking = ranks_by_score(bias) ? routed.scores : arena.make<float>(logits);
  routed.counts = arena.zeros<std::int32_t>({1, logits[1]});
  for (std::int64_t t = 0; t <= tokens; ++t) {
    routed.routing.offsets.data<std::int32_t>()[t] = static_cast<std::int32_t>(t * rule_.top_k);
  }
  return routed;
}

void TopkRouter::route_tokens(const Tensor& logits, const Tensor& bias, std::int64_t first, const Routed& routed,
                              Arena& scratch) const {
  if (!on_host()) {
    return cuda::route_topk(logits, bias, rule_, routed.on_device(), routed.routing.on_device(), routed.lost, stream());
  }
  const std::int64_t tokens = logits.extent(0), experts = logits.extent(1);
  const Tensor scores = routed.scores.rows(first, tokens), ranking = routed.ranking.rows(first, tokens);
  score(logits, first, routed);
  if (!ranks_by_score(bias)) rank(scores, bias, ranking, scratch);

  const Routing& routing = routed.routing;
  const Tensor chosen = routing.expert.rows(first * rule_.top_k, tokens * rule_.top_k);
  topk(ranking, chosen.reshaped({tokens, rule_.top_k}));
  float* chosen_score = routing.score.data<float>() + first * rule_.top_k;
  for (std::int64_t j = 0; j < chosen.elements(); ++j) {
    const std::int32_t expert = chosen.data<std::int32_t>()[j];
    chosen_score[j] = scores.data<float>()[j / rule_.top_k * experts + expert];
    ++routed.counts.data<std::int32_t>()[expert];
  }
  for (std::int64_t t = first; t < first + tokens; ++t) weigh_token(routing, t);
}

void TopkRouter::finish_route(Routed& routed, Arena& arena) const {
  if (!on_host()) count(routed, arena);
}

void TopkRouter::score(const Tensor& logits, std::int64_t first, const Routed& routed) const {
  const std::int64_t tokens = logits.extent(0);
  if (!rule_.sigmoid || z_loss_) {
    softmax(logits, routed.probability.rows(first, tokens), routed.logsumexp.rows(first, tokens));
    expect_finite(routed.logsumexp.rows(first, tokens), 1, first);
  }
  if (!rule_.sigmoid) return;
  expect_finite(logits, logits.extent(1), first);  // the sigmoid of infinity is 1
  const Tensor sums = routed.score_sum.rows(first, tokens);
  sigmoid(logits, routed.scores.rows(first, tokens), sums);
  for (float& sum : sums.span<float>()) sum += kNormFloor;
}

void TopkRouter::rank(const Tensor& scores, const Tensor& bias, const Tensor& ranking, Arena& scratch) const {
  std::ranges::copy(scores.span<float>(), ranking.data<float>());
  if (bias.elements() > 0) {
    for (std::int64_t t = 0; t < scores.extent(0); ++t) add(bias, 1, ranking.rows(t, 1).reshaped(bias.shape()));
  }
  keep_best_groups(ranking, rule_.groups, rule_.groups_kept, scratch);
}

void TopkRouter::weigh(const Routing& routing) const {
  for (std::int64_t t = 0; t < routing.tokens(); ++t) weigh_token(routing, t);
}

float TopkRouter::divisor(const Routing& routing, std::int64_t token) const {
  return rule_.normalise ? sum_of_scores(routing, token) : 1.0F;
}

void TopkRouter::weigh_token(const Routing& routing, std::int64_t token) const {
  const auto* offsets = routing.offsets.data<std::int32_t>();
  const auto* score = routing.score.data<float>();
  auto* weight = routing.weight.data<float>();
  const float sum = divisor(routing, token);
  for (std::int32_t j = offsets[token]; j < offsets[token + 1]; ++j) weight[j] = rule_.scale * score[j] / sum;
}

void TopkRouter::backward(const Routed& routed, const Tensor& dweight, const BalanceGradient& balance,
                          const Tensor& dlogits) const {
  if (!on_host()) {
    return cuda::route_topk_backward(routed.on_device(), routed.routing.on_device(), rule_, dweight, balance.score,
                                     balance.z_scale, dlogits, stream());
  }
  const std::int64_t tokens = dlogits.extent(0), experts = dlogits.extent(1);
  const bool balanced = balance.score.elements() > 0;
  const std::int64_t tokens_per_row = balanced ? std::max<std::int64_t>(1, tokens / balance.score.extent(0)) : 1;
  for (std::int64_t t = 0; t < tokens; ++t) {
    float* ds = dlogits.data<float>() + t * experts;
    if (balanced) {
      balance_backward(routed, t, balance.score.data<float>() + t / tokens_per_row * experts, ds);
    } else {
      std::fill_n(ds, experts, 0.0F);
    }
    weigh_backward(routed.routing, t, dweight.data<float>(), ds);
  }
  if (rule_.sigmoid) {
    sigmoid_backward(routed.scores, dlogits, dlogits);
  } else {
    softmax_backward(routed.scores, dlogits, dlogits);
  }
  if (balance.z_scale == 0) return;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const float factor = 2 * balance.z_scale * routed.logsumexp.data<float>()[t];
    for (std::int64_t i = t * experts; i < (t + 1) * experts; ++i) {
      dlogits.data<float>()[i] += factor * routed.probability.data<float>()[i];
    }
  }
}

void TopkRouter::balance_backward(const Routed& routed, std::int64_t token, const float* dshare, float* ds) const {
  const std::int64_t experts = routed.scores.extent(1);
  if (!rule_.sigmoid) {  // whose scores add up to 1
    std::copy_n(dshare, experts, ds);
    return;
  }
  const float sum = routed.score_sum.data<float>()[token];
  const float mean = ordered_dot(dshare, routed.scores.data<float>() + token * experts, experts) / sum;
  std::transform(dshare, dshare + experts, ds, [=](float d) { return (d - mean) / sum; });
}

void TopkRouter::weigh_backward(const Routing& routing, std::int64_t token, const float* dweight, float* ds) const {
  const auto* offsets = routing.offsets.data<std::int32_t>();
  const auto* expert = routing.expert.data<std::int32_t>();
  const auto* weight = routing.weight.data<float>();
  const auto* chosen = routing.chosen.data<std::uint8_t>();
  const std::int32_t first = offsets[token], last = offsets[token + 1];
  float mean = 0;
  for (std::int32_t j = first; rule_.normalise && j < last; ++j) mean += weight[j] * dweight[j];
  const float sum = divisor(routing, token);
  for (std::int32_t j = first; j < last; ++j) {
    ds[expert[j]] += (rule_.scale * dweight[j] - (chosen[j] != 0 ? mean : 0.0F)) / sum;
  }
}

}  // namespace coe
