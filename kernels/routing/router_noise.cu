#include "kernels/routing/router_noise.h"

#include <Random123/philox.h>

#include "kernels/memory/launch.cuh"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256;

/// random_bits() of random.cc.
__device__ std::uint64_t bits_of(RandomKey key, std::uint64_t counter) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const r123::Philox4x32::ctr_type place = {{low(counter), high(counter), low(key.stream), high(key.stream)}};
  const r123::Philox4x32::key_type seed = {{low(key.seed), high(key.seed)}};
  const r123::Philox4x32::ctr_type words = r123::Philox4x32()(place, seed);
  return words[0] | static_cast<std::uint64_t>(words[1]) << 32;
}

/// The numbers of a TokenDraw.
struct Draw {
  const std::int64_t* step;
  std::uint64_t stream;
  std::int64_t token, row;

  __device__ std::uint64_t bits(std::int64_t i) const {
    const std::uint64_t first = static_cast<std::uint64_t>(step[1] + token) * static_cast<std::uint64_t>(row);
    return bits_of({static_cast<std::uint64_t>(step[0]), stream}, first + static_cast<std::uint64_t>(i));
  }
};

Draw draw_of(const TokenDraw& draw, const Tensor& x) {
  expect_shape("router noise: step", draw.step, {2});
  return {draw.step.data<std::int64_t>(), draw.stream, draw.token, row_elements(x)};
}

struct Factors {
  Draw draw;
  float low, width, last;

  /// An element of fill_uniform(), rounded as there.
  __device__ float of(std::int64_t i) const {
    const auto uniform = static_cast<float>(draw.bits(i) >> 40) * 0x1p-24F;
    return fminf(last, __fadd_rn(low, __fmul_rn(uniform, width)));
  }
};

Factors factors_of(const TokenDraw& draw, float eps, const Tensor& x) {
  const float low = 1 - eps, high = 1 + eps;
  return {draw_of(draw, x), low, high - low, std::nextafter(high, low)};
}

/// An element of fill_normal().
__device__ float normal_of(std::uint64_t bits) {
  const double radius = (static_cast<std::uint32_t>(bits) + 1.0) * 0x1p-32;
  const double half_turns = static_cast<std::uint32_t>(bits >> 32) * 0x1p-31;
  return static_cast<float>(sqrt(-2.0 * log(radius)) * cospi(half_turns));
}

/// Calls visit(i) for every element, all threads together.
template <class Visit>
__device__ void for_each_element(std::int64_t n, const Visit& visit) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) visit(i);
}

template <class Number>
__global__ void jitter_kernel(const Number* x, Factors factors, std::int64_t n, Number* out) {
  for_each_element(n, [&](std::int64_t i) { set(out[i], to_number(x[i]) * factors.of(i)); });
}

template <class Number>
__global__ void jitter_backward_kernel(const Number* dout, Factors factors, std::int64_t n, Number* dx) {
  for_each_element(n, [&](std::int64_t i) { set(dx[i], to_number(dx[i]) + to_number(dout[i]) * factors.of(i)); });
}

__global__ void noise_kernel(float* logits, float* noise, Draw draw, std::int64_t n) {
  for_each_element(n, [&](std::int64_t i) {
    const float drawn = normal_of(draw.bits(i)), x = noise[i];
    logits[i] += drawn * (fmaxf(x, 0.0F) + log1pf(expf(-fabsf(x))));
    noise[i] = drawn / (1.0F + expf(-x));
  });
}

__global__ void noise_backward_kernel(const float* slope, const float* dlogits, std::int64_t n, float* dnoise) {
  for_each_element(n, [&](std::int64_t i) { dnoise[i] = slope[i] * dlogits[i]; });
}

Extent extent_of(const Tensor& x) { return {blocks_for(x.elements(), kThreads), kThreads}; }

}  // namespace

void jitter(const Tensor& x, const TokenDraw& draw, float eps, const Tensor& out, const Stream& stream) {
  expect_shape("jitter: out", out, x.shape());
  expect_same_dtype("jitter", x, out);
  with_number("jitter", x, [&](auto number) {
    using Number = decltype(number);
    launch("jitter", jitter_kernel<Number>, extent_of(x), stream, pointer<Number>(x), factors_of(draw, eps, x),
           x.elements(), pointer<Number>(out));
  });
}

void jitter_backward(const Tensor& dout, const TokenDraw& draw, float eps, const Tensor& dx, const Stream& stream) {
  expect_shape("jitter: dx", dx, dout.shape());
  expect_same_dtype("jitter", dout, dx);
  with_number("jitter", dout, [&](auto number) {
    using Number = decltype(number);
    launch("jitter", jitter_backward_kernel<Number>, extent_of(dx), stream, pointer<Number>(dout),
           factors_of(draw, eps, dx), dx.elements(), pointer<Number>(dx));
  });
}

void add_router_noise(const Tensor& logits, const Tensor& noise, const TokenDraw& draw, const Stream& stream) {
  expect_shape("router noise: noise", noise, logits.shape());
  launch("router noise", noise_kernel, extent_of(logits), stream, logits.data<float>(), noise.data<float>(),
         draw_of(draw, logits), logits.elements());
}

void router_noise_backward(const Tensor& slope, const Tensor& dlogits, const Tensor& dnoise, const Stream& stream) {
  expect_shape("router noise: dlogits", dlogits, slope.shape());
  expect_shape("router noise: dnoise", dnoise, slope.shape());
  launch("router noise", noise_backward_kernel, extent_of(slope), stream, slope.data<float>(), dlogits.data<float>(),
         slope.elements(), dnoise.data<float>());
}

}  // namespace coe::cuda
