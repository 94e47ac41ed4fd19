#include "kernels/memory/copy.h"

#include <algorithm>

#include "kernels/memory/launch.cuh"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256;

template <class Number>
__global__ void fill_kernel(Number* x, std::int64_t n, Number value) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    x[i] = value;
  }
}

struct Values {
  std::int64_t of[kWrittenAtOnce];
};

__global__ void write_kernel(Values values, std::int64_t* to) { to[threadIdx.x] = values.of[threadIdx.x]; }

template <class From, class To>
__global__ void cast_kernel(const From* from, To* to, std::int64_t n) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    set(to[i], to_number(from[i]));
  }
}

}  // namespace

void copy(const Tensor& from, const Tensor& to, const Stream& stream) {
  expect_success("copy", cudaMemcpyAsync(to.raw(), from.raw(), from.bytes(), cudaMemcpyDefault, use("copy", stream)));
}

void write(std::span<const std::int64_t> values, const Tensor& to, const Stream& stream) {
  Values all{};
  std::copy(values.begin(), values.end(), all.of);
  launch("write", write_kernel, {1, static_cast<int>(values.size())}, stream, all, to.data<std::int64_t>());
}

void clear(const Tensor& x, const Stream& stream) {
  expect_success("clear", cudaMemsetAsync(x.raw(), 0, x.bytes(), use("clear", stream)));
}

void fill(const Tensor& x, float value, const Stream& stream) {
  const Extent extent{blocks_for(x.elements(), kThreads), kThreads};
  if (x.dtype() == DType::kI32) {
    launch("fill", fill_kernel<std::int32_t>, extent, stream, pointer<std::int32_t>(x), x.elements(),
           static_cast<std::int32_t>(value));
    return;
  }
  with_number("fill", x, [&](auto number) {
    using Number = decltype(number);
    launch("fill", fill_kernel<Number>, extent, stream, pointer<Number>(x), x.elements(), Number(value));
  });
}

void cast(const Tensor& from, const Tensor& to, const Stream& stream) {
  const Extent extent{blocks_for(from.elements(), kThreads), kThreads};
  if (from.dtype() == DType::kF32) {
    launch("cast", cast_kernel<float, __nv_bfloat16>, extent, stream, pointer<float>(from), pointer<__nv_bfloat16>(to),
           from.elements());
    return;
  }
  launch("cast", cast_kernel<__nv_bfloat16, float>, extent, stream, pointer<__nv_bfloat16>(from), pointer<float>(to),
         from.elements());
}

}  // namespace coe::cuda
