#include "runtime/routing/gate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/memory/random.h"
#include "kernels/routing/rows.h"
#include "runtime/routing/token_blocks.h"

namespace coe {
namespace {

/// The first of this rank's tokens, counted over the step.
std::uint64_t first_token(const StepRandom& random, const Batch& batch) {
  return static_cast<std::uint64_t>((random.first_sequence + batch.first_sequence) * batch.length);
}

float softplus(float x) { return std::max(x, 0.0F) + std::log1p(std::exp(-std::abs(x))); }
float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

void multiply(const Tensor& factor, const Tensor& x) {
  std::ranges::transform(factor.span<float>(), x.span<float>(), x.data<float>(), std::multiplies<>());
}

void backward_by_sequence(const TrainedTensor& weight, const Tensor& x, const Tensor& dy, std::int64_t length,
                          const Tensor& dx) {
  for (std::int64_t t = 0; t < x.extent(0); t += length) {
    linear_input_gradient(dy.rows(t, length), weight.value, 1, dx.rows(t, length));
    linear_weight_gradient(dy.rows(t, length), x.rows(t, length), weight.gradient);
  }
}

/// Without a branch per number.
bool is_finite(const float* row, std::int64_t width) {
  int finite = 1;
  for (std::int64_t i = 0; i < width; ++i)
    finite &= static_cast<int>(std::abs(row[i]) <= std::numeric_limits<float>::max());
  return finite != 0;
}

/// Zeroes the rows that hold a number that is not finite; returns the first of them, -1 without one.
std::int64_t hide_non_finite(const Tensor& rows) {
  std::int64_t first = -1;
  const std::int64_t width = rows.extent(1);
  for (std::int64_t t = 0; t < rows.extent(0); ++t) {
    float* const row = rows.data<float>() + t * width;
    if (is_finite(row, width)) continue;
    std::fill_n(row, width, 0.0F);
    if (first < 0) first = t;
  }
  return first;
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
  saved = {.x = x, .jitter = {}, .noise_slope = {}};
  GateForward pass{.random = context.random,
                   .weight = pack_weight(weights_.weight.value, arena),
                   .routed = router_->begin_route(logits, weights_.bias, arena)};
  if (!pass.random) return pass;
  pass.first_token = first_token(*pass.random, batch);
  if (jitter_ > 0) {
    saved.jitter = arena.make<float>(x.shape());
    saved.x = arena.make<float>(x.shape());
  }
  if (weights_.noise.value.elements() > 0) saved.noise_slope = arena.make<float>(logits);
  return pass;
}

void Gate::route(const GateForward& pass, const Tensor& x, std::int64_t first, std::int64_t count, GateSaved& saved,
                 Arena& arena) const {
  ArenaScope scratch(arena);
  const Tensor logits = arena.make<float>({count, weights_.weight.value.extent(0)});
  if (saved.jitter.elements() > 0) add_jitter(pass, x.rows(first, count), first, saved);
  const Tensor seen = saved.x.rows(first, count);
  linear(seen, pass.weight, logits);
  if (saved.noise_slope.elements() > 0) add_noise(pass, seen, logits, first, saved, arena);
  const std::int64_t lost = hide_non_finite(logits);
  if (lost >= 0 && saved.lost < 0) saved.lost = first + lost;
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

void Gate::add_jitter(const GateForward& pass, const Tensor& x, std::int64_t first, const GateSaved& saved) const {
  const Tensor jitter = saved.jitter.rows(first, x.extent(0)), seen = saved.x.rows(first, x.extent(0));
  const auto number = (pass.first_token + static_cast<std::uint64_t>(first)) * static_cast<std::uint64_t>(x.extent(1));
  fill_uniform(jitter, routing_key(*pass.random, place_, RoutingDraw::kJitter), 1 - jitter_, 1 + jitter_, number);
  std::ranges::copy(x.span<float>(), seen.data<float>());
  multiply(jitter, seen);
}

void Gate::add_noise(const GateForward& pass, const Tensor& x, const Tensor& logits, std::int64_t first,
                     const GateSaved& saved, Arena& arena) const {
  const Tensor slopes = saved.noise_slope.rows(first, logits.extent(0)), normal = arena.make<float>(logits.shape());
  const auto number =
      (pass.first_token + static_cast<std::uint64_t>(first)) * static_cast<std::uint64_t>(logits.extent(1));
  fill_normal(normal, routing_key(*pass.random, place_, RoutingDraw::kNoise), 0, 1, number);
  linear(x, weights_.noise.value, slopes);
  for (std::int64_t i = 0; i < logits.elements(); ++i) {
    float& slope = slopes.data<float>()[i];
    const float drawn = normal.data<float>()[i];
    logits.data<float>()[i] += drawn * softplus(slope);
    slope = drawn * sigmoid(slope);
  }
}

void Gate::backward(const Batch& batch, const GateSaved& saved, const Routed& routed, const Tensor& dweight,
                    const BalanceGradient& balance, const Tensor& dx, Arena& arena) const {
  ArenaScope scratch(arena);
  const Tensor dlogits = arena.make<float>(routed.scores.shape());
  router_->backward(routed, dweight, balance, dlogits);
  const bool jittered = saved.jitter.elements() > 0;
  const Tensor into = jittered ? arena.zeros<float>(dx.shape()) : dx;
  backward_by_sequence(weights_.weight, saved.x, dlogits, batch.length, into);
  if (saved.noise_slope.elements() > 0) {
    multiply(saved.noise_slope, dlogits);
    backward_by_sequence(weights_.noise, saved.x, dlogits, batch.length, into);
  }
  if (!jittered) return;
  multiply(saved.jitter, into);
  add(into, 1, dx);
}

}  // namespace coe
