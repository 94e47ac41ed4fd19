#include "kernels/decoder/adamw.h"
#include "kernels/memory/packs.cuh"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256, kSumThreads = 256;
/// Elements that one block updates at least, and what it updates more is a multiple of.
constexpr std::int64_t kFewest = 4096, kTile = kThreads * kWide<float>;

struct Numbers {
  const std::int64_t* offsets;
  const std::uint8_t* decayed;
  std::int64_t tensors, n;
  const float* gradient;
  float *weight, *m, *v;
  __nv_bfloat16* rounded;
};

/// The tensor of an element, for elements that ascend.
class TensorAt {
 public:
  __device__ TensorAt(const Numbers& numbers, std::int64_t element) : numbers_(numbers) {
    std::int64_t past = numbers.tensors;
    while (past - tensor_ > 1) {
      const std::int64_t middle = (tensor_ + past) / 2;
      (numbers.offsets[middle] <= element ? tensor_ : past) = middle;
    }
    enter();
  }
  __device__ bool decays(std::int64_t element) {
    while (element >= end_ && tensor_ + 1 < numbers_.tensors) {
      ++tensor_;
      enter();
    }
    return decays_;
  }

 private:
  __device__ void enter() {
    end_ = numbers_.offsets[tensor_ + 1];
    decays_ = numbers_.decayed[tensor_] != 0;
  }

  const Numbers& numbers_;
  std::int64_t tensor_ = 0, end_;
  bool decays_;
};

__device__ float less(float x, float y) { return __fadd_rn(x, -y); }

/// Each operation rounds for itself, as on the CPU: the numbers are the CPU's, bit by bit.
__device__ void update(const AdamWFactors& by, float decay, float gradient, float& weight, float& m, float& v) {
  const float slope = __fmul_rn(gradient, by.gradient_scale);
  m = __fadd_rn(m, __fmul_rn(less(slope, m), by.toward_slope));
  v = __fadd_rn(__fmul_rn(v, by.beta2), __fmul_rn(__fmul_rn(slope, slope), by.toward_square));
  const float root = __fadd_rn(__fmul_rn(sqrtf(v), by.inverse_root), by.eps);
  weight = less(__fmul_rn(weight, decay), __fmul_rn(by.step_size, m / root));
}

template <int kWidth>
__device__ void update_pack(const AdamWFactors& by, const Numbers& numbers, TensorAt& tensor, std::int64_t i) {
  float gradient[kWidth], weight[kWidth], m[kWidth], v[kWidth];
  read_floats(numbers.gradient + i, gradient);
  read_floats(numbers.weight + i, weight);
  read_floats(numbers.m + i, m);
  read_floats(numbers.v + i, v);
  for (int lane = 0; lane < kWidth; ++lane) {
    const float decay = tensor.decays(i + lane) ? by.decay : 1.0F;
    update(by, decay, gradient[lane], weight[lane], m[lane], v[lane]);
  }
  write_floats(numbers.weight + i, weight);
  write_floats(numbers.m + i, m);
  write_floats(numbers.v + i, v);
  if (numbers.rounded != nullptr) write_floats(numbers.rounded + i, weight);
}

/// A block updates `each` neighbours, a multiple of kTile.
template <int kWidth>
__global__ void __launch_bounds__(kThreads) adamw_kernel(AdamWFactors by, Numbers numbers, std::int64_t each) {
  const std::int64_t begin = blockIdx.x * each, end = begin + each < numbers.n ? begin + each : numbers.n;
  std::int64_t i = begin + static_cast<std::int64_t>(threadIdx.x) * kWidth;
  if (i >= end) return;
  TensorAt tensor(numbers, i);
  for (; i + kWidth <= end; i += kThreads * kWidth) update_pack<kWidth>(by, numbers, tensor, i);
  for (const std::int64_t last = i + kWidth; i < last && i < end; ++i) update_pack<1>(by, numbers, tensor, i);
}

/// Four neighbours a thread and turn, however they are aligned, so that the order is always the same.
template <int kWidth>
__global__ void __launch_bounds__(kSumThreads) square_kernel(const float* x, std::int64_t n, double* partial) {
  constexpr int kEach = kWide<float>;
  __shared__ double lanes[kWarp];
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kSumThreads * kEach;
  double sum = 0;
#pragma unroll 4
  for (std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * kSumThreads + threadIdx.x) * kEach; i < n;
       i += stride) {
    float values[kEach] = {};
    if (kWidth == kEach && i + kEach <= n) {
      read_floats(x + i, values);
    } else {
      for (int lane = 0; lane < kEach && i + lane < n; ++lane) values[lane] = x[i + lane];
    }
    for (const float value : values) sum += static_cast<double>(value) * value;
  }
  sum = block_sum(sum, lanes);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// One block of a thread for each part.
__global__ void __launch_bounds__(kSquareParts) add_squares_kernel(const double* partial, double* sum) {
  __shared__ double lanes[kWarp];
  const double all = block_sum(partial[threadIdx.x], lanes);
  if (threadIdx.x == 0) *sum = all;
}

}  // namespace

void adamw(const AdamWFactors& by, const Tensor& offsets, const Tensor& decayed, const Tensor& gradient,
           const Tensor& weight, const Tensor& m, const Tensor& v, const Tensor& rounded, const Stream& stream) {
  const std::int64_t n = weight.elements();
  if (n == 0) return;
  __nv_bfloat16* narrow = rounded.elements() > 0 ? pointer<__nv_bfloat16>(rounded) : nullptr;
  const Numbers numbers{offsets.data<std::int64_t>(),
                        decayed.data<std::uint8_t>(),
                        decayed.elements(),
                        n,
                        gradient.data<float>(),
                        weight.data<float>(),
                        m.data<float>(),
                        v.data<float>(),
                        narrow};
  const std::int64_t blocks = blocks_for(n, kFewest), tiles = (n + kTile - 1) / kTile;
  const std::int64_t each = (tiles + blocks - 1) / blocks * kTile;
  const auto run = [&](auto kernel) { launch("adamw", kernel, {blocks, kThreads}, stream, by, numbers, each); };
  constexpr int kFour = kWide<float>;
  if (packs<float>(kFour, {numbers.gradient, numbers.weight, numbers.m, numbers.v, narrow})) {
    return run(adamw_kernel<kFour>);
  }
  run(adamw_kernel<1>);
}

void sum_of_squares(const Tensor& x, const Tensor& sum, const Tensor& partial, const Stream& stream) {
  expect_shape("sum_of_squares: sum", sum, {1});
  expect_shape("sum_of_squares: partial", partial, {kSquareParts});
  const auto* values = x.data<float>();
  const auto run = [&](auto kernel) {
    launch("sum_of_squares", kernel, {kSquareParts, kSumThreads}, stream, values, x.elements(), partial.data<double>());
  };
  packs<float>(kWide<float>, {values}) ? run(square_kernel<kWide<float>>) : run(square_kernel<1>);
  launch("sum_of_squares", add_squares_kernel, {1, kSquareParts}, stream, partial.data<double>(), sum.data<double>());
}

}  // namespace coe::cuda
