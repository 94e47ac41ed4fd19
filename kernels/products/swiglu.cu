#include "kernels/memory/launch.cuh"
#include "kernels/products/swiglu.h"

namespace coe::cuda {
namespace {

/// A thread for each pack of a row's numbers, so that few idle.
Extent extent_of(std::int64_t rows, std::int64_t width, int pack) {
  constexpr std::int64_t kMostThreads = 256;
  const std::int64_t warps = (width / pack + kWarp - 1) / kWarp;
  return {blocks_for(rows, 1), static_cast<int>(std::clamp<std::int64_t>(warps * kWarp, kWarp, kMostThreads))};
}

__device__ float sigmoid_of(float x) { return 1.0F / (1.0F + expf(-x)); }

__device__ std::int64_t rows_to_do(const std::int32_t* count, std::int64_t rows) {
  return count == nullptr || *count > rows ? rows : *count;
}

template <class Number, int kWidth>
__global__ void forward_kernel(const Number* ab, const std::int32_t* count, std::int64_t rows, std::int64_t width,
                               Number* m) {
  using Numbers = Pack<Number, kWidth>;
  const std::int64_t end = rows_to_do(count, rows);
  for (std::int64_t row = blockIdx.x; row < end; row += gridDim.x) {
    const Number* a = ab + row * 2 * width;
    for (std::int64_t i = static_cast<std::int64_t>(threadIdx.x) * kWidth; i < width; i += blockDim.x * kWidth) {
      const auto gate = *reinterpret_cast<const Numbers*>(a + i);
      const auto up = *reinterpret_cast<const Numbers*>(a + width + i);
      Numbers product;
      for (int lane = 0; lane < kWidth; ++lane) {
        const float x = to_number(gate.values[lane]);
        set(product.values[lane], x * sigmoid_of(x) * to_number(up.values[lane]));
      }
      *reinterpret_cast<Numbers*>(m + row * width + i) = product;
    }
  }
}

/// What backward makes of one element; returns q m.
template <class Number>
__device__ float element_backward(float gate, float up, float q, float w, Number& da, Number& db, Number& weighted_m) {
  const float s = sigmoid_of(gate), silu = gate * s, m = silu * up, dm = w * q;
  set(da, dm * up * (s * (1.0F + gate * (1.0F - s))));
  set(db, dm * silu);
  set(weighted_m, w * m);
  return q * m;
}

template <class Number, int kWidth>
__global__ void backward_kernel(const Number* ab, const Number* q, const float* w, const std::int32_t* count,
                                std::int64_t rows, std::int64_t width, Number* dab, Number* weighted_m, float* dw) {
  using Numbers = Pack<Number, kWidth>;
  __shared__ float lanes[kWarp];
  const std::int64_t end = rows_to_do(count, rows);
  for (std::int64_t row = blockIdx.x; row < end; row += gridDim.x) {
    const std::int64_t a = row * 2 * width, b = a + width, narrow = row * width;
    float dot = 0;
    for (std::int64_t i = static_cast<std::int64_t>(threadIdx.x) * kWidth; i < width; i += blockDim.x * kWidth) {
      const auto gate = *reinterpret_cast<const Numbers*>(ab + a + i);
      const auto up = *reinterpret_cast<const Numbers*>(ab + b + i);
      const auto upstream = *reinterpret_cast<const Numbers*>(q + narrow + i);
      Numbers da, db, product;
      for (int lane = 0; lane < kWidth; ++lane) {
        dot +=
            element_backward(to_number(gate.values[lane]), to_number(up.values[lane]), to_number(upstream.values[lane]),
                             w[row], da.values[lane], db.values[lane], product.values[lane]);
      }
      *reinterpret_cast<Numbers*>(dab + a + i) = da;
      *reinterpret_cast<Numbers*>(dab + b + i) = db;
      *reinterpret_cast<Numbers*>(weighted_m + narrow + i) = product;
    }
    dot = block_sum(dot, lanes);
    if (threadIdx.x == 0) dw[row] = dot;
  }
}

/// Checks ab [M, 2 F] and returns {M, F}.
Shape half_shape(const Tensor& ab) {
  expect_rank("swiglu: ab", ab, 2);
  if (ab.extent(1) % 2 != 0) fail(ErrorCode::kInternal, "swiglu: ab is ", ab.shape().text(), ", must be [M, 2 F]");
  return {ab.extent(0), ab.extent(1) / 2};
}

}  // namespace

void swiglu(const Tensor& ab, const Tensor& m, const Tensor& rows, const Stream& stream) {
  const Shape half = half_shape(ab);
  expect_shape("swiglu: m", m, half);
  expect_same_dtype("swiglu", ab, m);
  with_number("swiglu", ab, [&](auto number) {
    using Number = decltype(number);
    const auto run = [&](auto kernel, int pack) {
      launch("swiglu", kernel, extent_of(half[0], half[1], pack), stream, pointer<Number>(ab),
             pointer_or_null<std::int32_t>(rows), half[0], half[1], pointer<Number>(m));
    };
    if (packs<Number>(half[1], {ab.raw(), m.raw()})) {
      return run(forward_kernel<Number, kWide<Number>>, kWide<Number>);
    }
    run(forward_kernel<Number, 1>, 1);
  });
}

void swiglu_backward(const Tensor& ab, const Tensor& q, const Tensor& w, const Tensor& dab, const Tensor& weighted_m,
                     const Tensor& dw, const Tensor& rows, const Stream& stream) {
  const Shape half = half_shape(ab);
  expect_shape("swiglu_backward: q", q, half);
  expect_shape("swiglu_backward: w", w, {half[0]});
  expect_shape("swiglu_backward: dab", dab, ab.shape());
  expect_shape("swiglu_backward: weighted_m", weighted_m, half);
  expect_shape("swiglu_backward: dw", dw, {half[0]});
  for (const Tensor* other : {&q, &dab, &weighted_m}) expect_same_dtype("swiglu_backward", ab, *other);
  with_number("swiglu_backward", ab, [&](auto number) {
    using Number = decltype(number);
    const auto run = [&](auto kernel, int pack) {
      launch("swiglu_backward", kernel, extent_of(half[0], half[1], pack), stream, pointer<Number>(ab),
             pointer<Number>(q), w.data<float>(), pointer_or_null<std::int32_t>(rows), half[0], half[1],
             pointer<Number>(dab), pointer<Number>(weighted_m), dw.data<float>());
    };
    if (packs<Number>(half[1], {ab.raw(), q.raw(), dab.raw(), weighted_m.raw()})) {
      return run(backward_kernel<Number, kWide<Number>>, kWide<Number>);
    }
    run(backward_kernel<Number, 1>, 1);
  });
}

}  // namespace coe::cuda
