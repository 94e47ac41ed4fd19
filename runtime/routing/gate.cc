#include "runtime/routing/gate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/memory/copy.h"
#include "kernels/memory/random.h"
#include "kernels/routing/router_noise.h"
#include "kernels/routing/router_product.h"
#include "runtime/routing/token_blocks.h"

namespace coe {
namespace {

/// The first of this rank's tokens, counted over the micro-batch.
std::int64_t first_token(const Batch& batch) { return batch.first_sequence * batch.length; }

/// Without a branch per number.
bool is_finite(const float* row, std::int64_t width) {
  int finite = 1;
  for (std::int64_t i = 0; i < width; ++i)
    finite &= static_cast<int>(std::abs(row[i]) <= std::numeric_limits<float>::max());
  return finite != 0;
}

/// Zeroes the rows that hold a number that is not finite, the first being token `first`; a device's routers do it
/// themselves.
void hide_non_finite(const Tensor& rows, std::int64_t first, const Tensor& lost) {
  const std::int64_t width = rows.extent(1);
  for (std::int64_t t = 0; t < rows.extent(0); ++t) {
    float* const row = rows.data<float>() + t * width;
    if (is_finite(row, width)) continue;
    std::fill_n(row, width, 0.0F);
    auto& earliest = *lost.data<std::int32_t>();
    earliest = std::min(earliest, static_cast<std::int32_t>(first + t));
  }
}

}  // namespace

Gate::Gate(const LayerConfig& config, int layer, int iteration, const GateWeights& weights, const Router& router)
    : jitter_(config.router_jitter),
      place_(layer * config.iterations + iteration),
      weights_(weights),
      router_(&router) {}

GateForward Gate::begin_forward(const Tensor& x, const Batch& batch, const RoutingContext& context, GateSaved& saved,
                                Arena& arena) const {
  const Shape logits{x.extent(0), weights_.weight.value.extent(0)};
  saved = {.x = x, .noise_slope = {}, .draws = {}};
  GateForward pass{.weight = ready_weight(weights_.weight.value, arena),
                   .noise = {},
                   .routed = router_->begin_route(logits, weights_.bias, arena)};
  pass.routed.lost = arena.make<std::int32_t>({1});
  fill(pass.routed.lost, cuda::kNoneLost, stream());
  if (!context.random) return pass;
  saved.draws = numbers_of(context, batch.length, arena, stream()).draws;
  pass.first_token = first_token(batch);
  if (jitters(saved)) saved.x = arena.make(x.dtype(), x.shape());
  if (weights_.noise.value.elements() > 0) {
    pass.noise = ready_weight(weights_.noise.value, arena);
    saved.noise_slope = arena.make<float>(logits);
  }
  return pass;
}

void Gate::route(const GateForward& pass, const Tensor& x, std::int64_t first, std::int64_t count, GateSaved& saved,
                 Arena& arena) const {
  ArenaScope scratch(arena);
  const std::int64_t experts = weights_.weight.value.extent(0);
  const auto draw = [&](RoutingDraw purpose) {
    return draw_of(saved.draws, purpose, place_, pass.first_token + first);
  };
  const Tensor logits = arena.make<float>({count, experts}), seen = saved.x.rows(first, count);
  if (jitters(saved)) {
    jitter(x.rows(first, count), draw(RoutingDraw::kJitter), jitter_, seen, stream());
  }
  router_logits(seen, pass.weight, logits, arena, stream());
  if (saved.noise_slope.elements() > 0) {
    const Tensor noise = saved.noise_slope.rows(first, count);
    router_logits(seen, pass.noise, noise, arena, stream());
    add_router_noise(logits, noise, draw(RoutingDraw::kNoise), stream());
  }
  if (logits.on_host()) hide_non_finite(logits, first, pass.routed.lost);
  router_->route_tokens(logits, weights_.bias, first, pass.routed, arena);
}

Routed Gate::finish_forward(GateForward& pass, Arena& arena) const {
  router_->finish_route(pass.routed, arena);
  return pass.routed;
}

Routed Gate::forward(const Tensor& x, const Batch& batch, const RoutingContext& context, GateSaved& saved,
                     Arena& arena) const {
  GateForward pass = begin_forward(x, batch, context, saved, arena);
  for_each_token_block(x, [&](std::int64_t first, std::int64_t count) { route(pass, x, first, count, saved, arena); });
  return finish_forward(pass, arena);
}

void Gate::backward(const Batch& batch, const GateSaved& saved, const Routed& routed, const Tensor& dweight,
                    const BalanceGradient& balance, const Tensor& dx, Arena& arena) const {
  if (dx.extent(0) == 0) return;
  ArenaScope scratch(arena);
  const Tensor dlogits = arena.make<float>(routed.scores.shape());
  router_->backward(routed, dweight, balance, dlogits);
  if (!jitters(saved)) return products_backward(batch, saved, dlogits, 1, dx, arena);
  const Tensor jittered = arena.make(dx.dtype(), dx.shape());
  products_backward(batch, saved, dlogits, 0, jittered, arena);
  jitter_backward(jittered, draw_of(saved.draws, RoutingDraw::kJitter, place_, first_token(batch)), jitter_, dx,
                  stream());
}

void Gate::products_backward(const Batch& batch, const GateSaved& saved, const Tensor& dlogits, float beta,
                             const Tensor& dx, Arena& arena) const {
  // On the host by sequence, so that sums over tokens do not depend on who has which sequence.
  const std::int64_t run = dx.on_host() ? batch.length : dx.extent(0);
  const auto add_gradients = [&](const TrainedTensor& weight, float kept) {
    for (std::int64_t t = 0; t < dx.extent(0); t += run) {
      router_input_gradient(dlogits.rows(t, run), weight.value, kept, dx.rows(t, run), arena, stream());
      router_weight_gradient(dlogits.rows(t, run), saved.x.rows(t, run), weight.gradient, arena, stream());
    }
  };
  add_gradients(weights_.weight, beta);
  if (saved.noise_slope.elements() == 0) return;
  router_noise_backward(saved.noise_slope, dlogits, dlogits, stream());
  add_gradients(weights_.noise, 1);
}

}  // namespace coe
