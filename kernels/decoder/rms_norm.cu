#include "kernels/decoder/rms_norm.h"
#include "kernels/memory/launch.cuh"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256;

template <class Number>
__global__ void forward_kernel(const Number* x, const float* weight, float eps, std::int64_t rows, std::int64_t width,
                               Number* y, float* inverse_rms) {
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

template <class Number>
__global__ void input_gradient_kernel(const Number* x, const float* weight, const float* inverse_rms, const Number* dy,
                                      std::int64_t rows, std::int64_t width, Number* dx) {
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

/// partial[part] = the sum over rows part, part + kNormParts, ...
template <class Number>
__global__ void partial_kernel(const Number* x, const float* inverse_rms, const Number* dy, std::int64_t rows,
                               std::int64_t width, float* partial) {
  const std::int64_t part = blockIdx.x;
  for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    float sum = 0;
    for (std::int64_t row = part; row < rows; row += kNormParts) {
      sum += to_number(dy[row * width + i]) * to_number(x[row * width + i]) * inverse_rms[row];
    }
    partial[part * width + i] = sum;
  }
}

__global__ void add_parts_kernel(const float* partial, std::int64_t width, float* dweight) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= width) return;
  float sum = 0;
  for (int part = 0; part < kNormParts; ++part) sum += partial[part * width + i];
  dweight[i] += sum;
}

void expect_fits(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& y) {
  expect_rank("rms_norm: x", x, 2);
  expect_shape("rms_norm: weight", weight, {x.extent(1)});
  expect_shape("rms_norm: inverse_rms", inverse_rms, {x.extent(0)});
  expect_shape("rms_norm: y", y, x.shape());
  expect_same_dtype("rms_norm", x, y);
}

}  // namespace

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, const Tensor& inverse_rms,
              const Stream& stream) {
  expect_fits(x, weight, inverse_rms, y);
  with_number("rms_norm", x, [&](auto number) {
    using Number = decltype(number);
    launch("rms_norm", forward_kernel<Number>, {blocks_for(x.extent(0), 1), kThreads}, stream, pointer<Number>(x),
           weight.data<float>(), eps, x.extent(0), x.extent(1), pointer<Number>(y), inverse_rms.data<float>());
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
  with_number("rms_norm_backward", x, [&](auto number) {
    using Number = decltype(number);
    launch("rms_norm_backward", input_gradient_kernel<Number>, {blocks_for(rows, 1), kThreads}, stream,
           pointer<Number>(x), weight.data<float>(), inverse_rms.data<float>(), pointer<Number>(dy), rows, width,
           pointer<Number>(dx));
    launch("rms_norm_backward", partial_kernel<Number>, {kNormParts, kThreads}, stream, pointer<Number>(x),
           inverse_rms.data<float>(), pointer<Number>(dy), rows, width, partial.data<float>());
  });
  launch("rms_norm_backward", add_parts_kernel, {(width + kThreads - 1) / kThreads, kThreads}, stream,
         partial.data<float>(), width, dweight.data<float>());
}

}  // namespace coe::cuda
