#include "kernels/decoder/rms_norm.h"
#include "kernels/memory/packs.cuh"

namespace coe::cuda {
namespace {

/// A block per row. Rows of at most kMostThreads * kMostHeld<Number> packs stay in registers, kHeld packs a thread.
constexpr int kThreads = 256, kMostThreads = 512, kSumThreads = 1024;
template <class Number>
constexpr int kMostHeld = 16 / kWide<Number>;

/// The packs of a row that a thread holds: threadIdx.x, threadIdx.x + blockDim.x, ...; visit(turn, first element).
template <int kHeld, int kWidth, class Visit>
__device__ void for_held(std::int64_t width, const Visit& visit) {
#pragma unroll
  for (int turn = 0; turn < kHeld; ++turn) {
    const std::int64_t i = (static_cast<std::int64_t>(turn) * blockDim.x + threadIdx.x) * kWidth;
    if (i < width) visit(turn, i);
  }
}

template <class Number, int kHeld>
__global__ void __launch_bounds__(kMostThreads)
    forward_kernel(const Number* x, const float* weight, float eps, std::int64_t rows, std::int64_t width, Number* y,
                   float* inverse_rms) {
  constexpr int kWidth = kWide<Number>;
  __shared__ float lanes[kWarp];
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    float held[kHeld][kWidth] = {}, squares = 0;
    for_held<kHeld, kWidth>(width, [&](int turn, std::int64_t i) { read_floats(x + row * width + i, held[turn]); });
    for_held<kHeld, kWidth>(width, [&](int turn, std::int64_t) {
      for (const float value : held[turn]) squares += value * value;
    });
    const float inverse = 1.0F / sqrtf(block_sum(squares, lanes) / static_cast<float>(width) + eps);
    for_held<kHeld, kWidth>(width, [&](int turn, std::int64_t i) {
      float scale[kWidth];
      read_floats(weight + i, scale);
      for (int lane = 0; lane < kWidth; ++lane) scale[lane] *= held[turn][lane] * inverse;
      write_floats(y + row * width + i, scale);
    });
    if (threadIdx.x == 0) inverse_rms[row] = inverse;
  }
}

/// The same for rows that are too long, or do not fall into packs.
template <class Number>
__global__ void long_forward_kernel(const Number* x, const float* weight, float eps, std::int64_t rows,
                                    std::int64_t width, Number* y, float* inverse_rms) {
  __shared__ float lanes[kWarp];
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const Number* from = x + row * width;
    float squares = 0;
    for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      const float value = to_number(from[i]);
      squares += value * value;
    }
    const float inverse = 1.0F / sqrtf(block_sum(squares, lanes) / static_cast<float>(width) + eps);
    for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      set(y[row * width + i], to_number(from[i]) * inverse * weight[i]);
    }
    if (threadIdx.x == 0) inverse_rms[row] = inverse;
  }
}

/// partial[block] = the sum of dweight over the block's rows.
template <class Number, int kHeld>
__global__ void __launch_bounds__(kMostThreads)
    backward_kernel(const Number* x, const float* weight, const float* inverse_rms, const Number* dy, std::int64_t rows,
                    std::int64_t width, Number* dx, float* partial) {
  constexpr int kWidth = kWide<Number>;
  using Numbers = Pack<Number, kWidth>;
  __shared__ float lanes[kWarp];
  float scale[kHeld][kWidth] = {}, sum[kHeld][kWidth] = {};
  for_held<kHeld, kWidth>(width, [&](int turn, std::int64_t i) { read_floats(weight + i, scale[turn]); });
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const std::int64_t begin = row * width;
    const float inverse = inverse_rms[row];
    Numbers in[kHeld] = {}, upstream[kHeld] = {}, out[kHeld] = {};
    for_held<kHeld, kWidth>(width, [&](int turn, std::int64_t i) {
      in[turn] = *reinterpret_cast<const Numbers*>(x + begin + i);
      upstream[turn] = *reinterpret_cast<const Numbers*>(dy + begin + i);
      out[turn] = *reinterpret_cast<const Numbers*>(dx + begin + i);
    });
    float dot = 0;
    for_held<kHeld, kWidth>(width, [&](int turn, std::int64_t) {
      for (int lane = 0; lane < kWidth; ++lane) {
        dot += to_number(upstream[turn].values[lane]) * scale[turn][lane] * to_number(in[turn].values[lane]);
      }
    });
    const float mean = block_sum(dot, lanes) * inverse / static_cast<float>(width);
    for_held<kHeld, kWidth>(width, [&](int turn, std::int64_t i) {
      for (int lane = 0; lane < kWidth; ++lane) {
        const float normal = to_number(in[turn].values[lane]) * inverse, d = to_number(upstream[turn].values[lane]);
        Number& to = out[turn].values[lane];
        set(to, to_number(to) + inverse * (d * scale[turn][lane] - normal * mean));
        sum[turn][lane] += d * normal;
      }
      *reinterpret_cast<Numbers*>(dx + begin + i) = out[turn];
    });
  }
  for_held<kHeld, kWidth>(width, [&](int turn, std::int64_t i) {
    write_floats(partial + static_cast<std::int64_t>(blockIdx.x) * width + i, sum[turn]);
  });
}

/// dx alone, for the rows of long_forward_kernel.
template <class Number>
__global__ void long_input_gradient_kernel(const Number* x, const float* weight, const float* inverse_rms,
                                           const Number* dy, std::int64_t rows, std::int64_t width, Number* dx) {
  __shared__ float lanes[kWarp];
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const std::int64_t begin = row * width;
    const float inverse = inverse_rms[row];
    float dot = 0;
    for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      dot += to_number(dy[begin + i]) * weight[i] * to_number(x[begin + i]);
    }
    const float mean = block_sum(dot, lanes) * inverse / static_cast<float>(width);
    for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      const float normal = to_number(x[begin + i]) * inverse;
      const float gradient = inverse * (to_number(dy[begin + i]) * weight[i] - normal * mean);
      set(dx[begin + i], to_number(dx[begin + i]) + gradient);
    }
  }
}

/// partial[block] for them: the sum over rows block, block + gridDim.x, ...
template <class Number>
__global__ void long_partial_kernel(const Number* x, const float* inverse_rms, const Number* dy, std::int64_t rows,
                                    std::int64_t width, float* partial) {
  const std::int64_t part = blockIdx.x;
  for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    float sum = 0;
    for (std::int64_t row = part; row < rows; row += gridDim.x) {
      sum += to_number(dy[row * width + i]) * to_number(x[row * width + i]) * inverse_rms[row];
    }
    partial[part * width + i] = sum;
  }
}

/// A warp's lanes are neighbouring columns; its parts are those of its number and every kSumThreads / kWarp further.
__global__ void __launch_bounds__(kSumThreads)
    add_parts_kernel(const float* partial, std::int64_t parts, std::int64_t width, float* dweight) {
  constexpr int kWarps = kSumThreads / kWarp;
  __shared__ float sums[kWarps][kWarp];
  const unsigned warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kWarp + lane;
  float sum = 0;
  if (i < width) {
#pragma unroll 8
    for (std::int64_t part = warp; part < parts; part += kWarps) sum += partial[part * width + i];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || i >= width) return;
  sum = 0;
  for (int other = 0; other < kWarps; ++other) sum += sums[other][lane];
  dweight[i] += sum;
}

void expect_fits(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& y) {
  expect_rank("rms_norm: x", x, 2);
  expect_shape("rms_norm: weight", weight, {x.extent(1)});
  expect_shape("rms_norm: inverse_rms", inverse_rms, {x.extent(0)});
  expect_shape("rms_norm: y", y, x.shape());
  expect_same_dtype("rms_norm", x, y);
}

template <int kHeld>
struct Held {
  static constexpr int kPacks = kHeld;
};

/// Calls visit(Held<n>{}, threads) where n packs a thread hold a row, and visit(Held<0>{}, kThreads) where none do.
template <class Number, class Visit>
void with_held(std::int64_t width, std::initializer_list<const void*> rows, const Visit& visit) {
  const std::int64_t packs_of_row = width / kWide<Number>, held = (packs_of_row + kMostThreads - 1) / kMostThreads;
  const auto threads = [&](int each) { return threads_for((packs_of_row + each - 1) / each, kMostThreads); };
  if (!packs<Number>(width, rows) || held > kMostHeld<Number>) return visit(Held<0>{}, kThreads);
  if (held <= 1) return visit(Held<1>{}, threads(1));
  if (held <= 2) return visit(Held<2>{}, threads(2));
  if constexpr (kMostHeld < Number >> 2) visit(Held<kMostHeld<Number>>{}, threads(kMostHeld<Number>));
}

/// Blocks that sum dweight: about as many threads in all, whatever the width of a row.
std::int64_t parts_for(std::int64_t rows, int threads) {
  constexpr int kFewestThreads = 128;
  return std::min<std::int64_t>(rows, kNormParts / std::max(1, threads / kFewestThreads));
}

}  // namespace

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, const Tensor& inverse_rms,
              const Stream& stream) {
  expect_fits(x, weight, inverse_rms, y);
  const std::int64_t rows = x.extent(0), width = x.extent(1);
  with_number("rms_norm", x, [&](auto number) {
    using Number = decltype(number);
    const auto run = [&](auto kernel, int threads) {
      launch("rms_norm", kernel, {blocks_for(rows, 1), threads}, stream, pointer<Number>(x), weight.data<float>(), eps,
             rows, width, pointer<Number>(y), inverse_rms.data<float>());
    };
    with_held<Number>(width, {x.raw(), y.raw(), weight.raw()}, [&](auto held, int threads) {
      if constexpr (held.kPacks == 0) {
        run(long_forward_kernel<Number>, threads);
      } else {
        run(forward_kernel<Number, held.kPacks>, threads);
      }
    });
  });
}

void rms_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight, const Tensor& partial, const Stream& stream) {
  expect_fits(x, weight, inverse_rms, dy);
  expect_shape("rms_norm_backward: dx", dx, x.shape());
  expect_same_dtype("rms_norm_backward", x, dx);
  const std::int64_t rows = x.extent(0), width = x.extent(1);
  expect_shape("rms_norm_backward: dweight", dweight, {width});
  expect_shape("rms_norm_backward: partial", partial, {kNormParts, width});
  if (rows == 0) return;
  const auto *scale = weight.data<float>(), *inverse = inverse_rms.data<float>();
  auto* sums = partial.data<float>();
  std::int64_t parts = 0;
  with_number("rms_norm_backward", x, [&](auto number) {
    using Number = decltype(number);
    const Number *in = pointer<Number>(x), *upstream = pointer<Number>(dy);
    auto* out = pointer<Number>(dx);
    with_held<Number>(width, {in, upstream, out, scale, sums}, [&](auto held, int threads) {
      parts = parts_for(rows, threads);
      if constexpr (held.kPacks == 0) {
        launch("rms_norm_backward", long_input_gradient_kernel<Number>, {blocks_for(rows, 1), threads}, stream, in,
               scale, inverse, upstream, rows, width, out);
        launch("rms_norm_backward", long_partial_kernel<Number>, {parts, threads}, stream, in, inverse, upstream, rows,
               width, sums);
      } else {
        launch("rms_norm_backward", backward_kernel<Number, held.kPacks>, {parts, threads}, stream, in, scale, inverse,
               upstream, rows, width, out, sums);
      }
    });
  });
  launch("rms_norm_backward", add_parts_kernel, {(width + kWarp - 1) / kWarp, kSumThreads}, stream, sums, parts, width,
         dweight.data<float>());
}

}  // namespace coe::cuda
