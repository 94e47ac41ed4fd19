#include "kernels/routing/router_noise.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace coe {
namespace {

/// Numbers that are drawn at once.
constexpr std::int64_t kDrawn = 512;
using Draws = std::array<float, kDrawn>;

/// Calls visit(first, numbers) for runs of all numbers, which fill(tensor, counter) draws.
template <class Fill, class Visit>
void for_each_run(std::int64_t numbers, std::uint64_t counter, const Fill& fill, const Visit& visit) {
  Draws drawn;
  for (std::int64_t i = 0; i < numbers; i += kDrawn) {
    const Tensor run(drawn.data(), DType::kF32, {std::min(kDrawn, numbers - i)});
    fill(run, counter + static_cast<std::uint64_t>(i));
    visit(i, run.span<float>());
  }
}

RandomKey key_of(const TokenDraw& draw) {
  return {static_cast<std::uint64_t>(draw.step.data<std::int64_t>()[0]), draw.stream};
}

/// Of the first of x's numbers.
std::uint64_t counter_of(const TokenDraw& draw, const Tensor& x) {
  const std::int64_t token = draw.step.data<std::int64_t>()[1] + draw.token;
  return static_cast<std::uint64_t>(token) * static_cast<std::uint64_t>(row_elements(x));
}

template <class Visit>
void for_each_factor(const Tensor& x, const TokenDraw& draw, float eps, const Visit& visit) {
  const RandomKey key = key_of(draw);
  const auto fill = [&](const Tensor& run, std::uint64_t counter) {
    fill_uniform(run, key, 1 - eps, 1 + eps, counter);
  };
  for_each_run(x.elements(), counter_of(draw, x), fill, visit);
}

float softplus(float x) { return std::max(x, 0.0F) + std::log1p(std::exp(-std::abs(x))); }
float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

void jitter(const Tensor& x, const TokenDraw& draw, float eps, const Tensor& out, const Stream& stream) {
  expect_shape("jitter: out", out, x.shape());
  if (!x.on_host()) return cuda::jitter(x, draw, eps, out, stream);
  const float* in = x.data<float>();
  auto* to = out.data<float>();
  for_each_factor(x, draw, eps, [&](std::int64_t begin, std::span<const float> factors) {
    std::ranges::transform(factors, std::span(in + begin, factors.size()), to + begin,
                           [](float factor, float number) { return factor * number; });
  });
}

void jitter_backward(const Tensor& dout, const TokenDraw& draw, float eps, const Tensor& dx, const Stream& stream) {
  expect_shape("jitter_backward: dx", dx, dout.shape());
  if (!dx.on_host()) return cuda::jitter_backward(dout, draw, eps, dx, stream);
  const float* upstream = dout.data<float>();
  auto* to = dx.data<float>();
  for_each_factor(dx, draw, eps, [&](std::int64_t /*begin*/, std::span<const float> factors) {
    for (const float factor : factors) *to++ += factor * *upstream++;
  });
}

void add_router_noise(const Tensor& logits, const Tensor& noise, const TokenDraw& draw, const Stream& stream) {
  expect_shape("add_router_noise: noise", noise, logits.shape());
  if (!logits.on_host()) return cuda::add_router_noise(logits, noise, draw, stream);
  const RandomKey key = key_of(draw);
  const auto fill = [&](const Tensor& run, std::uint64_t counter) { fill_normal(run, key, 0, 1, counter); };
  auto *logit = logits.data<float>(), *slope = noise.data<float>();
  for_each_run(logits.elements(), counter_of(draw, logits), fill,
               [&](std::int64_t /*begin*/, std::span<const float> drawn) {
                 for (const float number : drawn) {
                   *logit++ += number * softplus(*slope);
                   *slope = number * sigmoid(*slope);
                   ++slope;
                 }
               });
}

void router_noise_backward(const Tensor& slope, const Tensor& dlogits, const Tensor& dnoise, const Stream& stream) {
  expect_shape("router_noise_backward: dlogits", dlogits, slope.shape());
  expect_shape("router_noise_backward: dnoise", dnoise, slope.shape());
  if (!slope.on_host()) return cuda::router_noise_backward(slope, dlogits, dnoise, stream);
  std::ranges::transform(slope.span<float>(), dlogits.span<float>(), dnoise.data<float>(),
                         [](float s, float d) { return s * d; });
}

}  // namespace coe
