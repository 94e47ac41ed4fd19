#include "runtime/gate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/linear.h"
#include "kernels/random.h"
#include "kernels/rows.h"

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

/// y [T, N] = x W^T and the like, one product per sequence.
void linear_by_sequence(const Tensor& x, const Tensor& weight, std::int64_t length, const Tensor& y) {
  for (std::int64_t t = 0; t < x.extent(0); t += length) linear(x.rows(t, length), weight, y.rows(t, length));
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

Routed Gate::forward(const Tensor& x, const Batch& batch, const RoutingContext& context, GateSaved& saved,
                     Arena& arena) const {
  saved = {.x = x, .jitter = {}, .noise_slope = {}};
  const Tensor logits = arena.make<float>({x.extent(0), weights_.weight.value.extent(0)});
  if (context.random && jitter_ > 0) add_jitter(batch, *context.random, saved, arena);
  linear_by_sequence(saved.x, weights_.weight.value, batch.length, logits);
  if (context.random && weights_.noise.value.elements() > 0) add_noise(batch, *context.random, logits, saved, arena);
  saved.lost = hide_non_finite(logits);
  return router_->route(logits, weights_.bias, arena);
}

void Gate::add_jitter(const Batch& batch, const StepRandom& random, GateSaved& saved, Arena& arena) const {
  const Tensor x = saved.x;
  saved.jitter = arena.make<float>(x.shape());
  saved.x = arena.make<float>(x.shape());
  const auto first = first_token(random, batch) * static_cast<std::uint64_t>(x.extent(1));
  fill_uniform(saved.jitter, routing_key(random, place_, RoutingDraw::kJitter), 1 - jitter_, 1 + jitter_, first);
  std::ranges::copy(x.span<float>(), saved.x.data<float>());
  multiply(saved.jitter, saved.x);
}

void Gate::add_noise(const Batch& batch, const StepRandom& random, const Tensor& logits, GateSaved& saved,
                     Arena& arena) const {
  saved.noise_slope = arena.make<float>(logits.shape());
  ArenaScope scratch(arena);
  const Tensor normal = arena.make<float>(logits.shape());
  const auto first = first_token(random, batch) * static_cast<std::uint64_t>(logits.extent(1));
  fill_normal(normal, routing_key(random, place_, RoutingDraw::kNoise), 0, 1, first);
  linear_by_sequence(saved.x, weights_.noise.value, batch.length, saved.noise_slope);
  for (std::int64_t i = 0; i < logits.elements(); ++i) {
    float& slope = saved.noise_slope.data<float>()[i];
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
