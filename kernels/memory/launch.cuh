#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/memory/error.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;
/// Blocks that fill every device; kernels stride over what is more.
inline constexpr std::int64_t kMostBlocks = 4096;

inline void expect_success(const char* what, cudaError_t status) {
  if (status != cudaSuccess) [[unlikely]]
    fail(ErrorCode::kSystem, "cuda: ", what, ": ", cudaGetErrorString(status));
}

/// Makes the stream's device the calling thread's and returns the handle.
inline cudaStream_t use(const char* what, const Stream& stream) {
  if (stream.device().kind != Device::Kind::kCuda) {
    fail(ErrorCode::kInternal, what, ": the stream is the CPU's, must be one of CUDA");
  }
  expect_success(what, cudaSetDevice(stream.device().index));
  return static_cast<cudaStream_t>(stream.handle());
}

/// The shared memory that Extent::shared_bytes asks for, aligned to 16 bytes.
__device__ inline unsigned char* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char coe_dynamic_shared[];
  return coe_dynamic_shared;
}

struct Extent {
  std::int64_t blocks;
  int threads;
  std::size_t shared_bytes = 0;
};

/// Gives a kernel to a stream; nothing where there are no blocks.
template <class... Parameters, class... Arguments>
void launch(const char* what, void (*kernel)(Parameters...), Extent extent, const Stream& stream,
            const Arguments&... arguments) {
  if (extent.blocks == 0) return;
  cudaLaunchConfig_t config{};
  config.stream = use(what, stream);
  config.gridDim = dim3(static_cast<unsigned>(extent.blocks));
  config.blockDim = dim3(static_cast<unsigned>(extent.threads));
  config.dynamicSmemBytes = extent.shared_bytes;
  expect_success(what, cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

/// Blocks for `items` of which one takes `each`; at most kMostBlocks.
inline std::int64_t blocks_for(std::int64_t items, std::int64_t each) {
  return std::min((items + each - 1) / each, kMostBlocks);
}

/// Calls visit(Number{}) with the number type of a dtype that twins compute in.
template <class Visit>
void with_number(const char* what, const Tensor& x, const Visit& visit) {
  switch (x.dtype()) {
    case DType::kF32: return visit(float{});
    case DType::kBF16: return visit(__nv_bfloat16{});
    default: fail(ErrorCode::kInternal, what, ": dtype is ", name_of(x.dtype()), ", must be F32 or BF16");
  }
}

inline void expect_same_dtype(const char* what, const Tensor& x, const Tensor& y) {
  if (x.dtype() != y.dtype()) {
    fail(ErrorCode::kInternal, what, ": dtypes are ", name_of(x.dtype()), " and ", name_of(y.dtype()));
  }
}

template <class Number>
Number* pointer(const Tensor& x) {
  return reinterpret_cast<Number*>(x.raw());
}
/// The elements, or nullptr of an empty tensor.
template <class Number>
Number* pointer_or_null(const Tensor& x) {
  return x.elements() > 0 ? x.data<Number>() : nullptr;
}

__device__ inline float to_number(float x) { return x; }
__device__ inline float to_number(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void set(float& to, float x) { to = x; }
__device__ inline void set(__nv_bfloat16& to, float x) { to = __float2bfloat16(x); }

/// Neighbouring elements that are read and written at once.
template <class Number, int kWidth>
struct alignas(sizeof(Number) * kWidth) Pack {
  Number values[kWidth];
};
template <class Number>
inline constexpr int kWide = 16 / static_cast<int>(sizeof(Number));

/// Whether rows of `width` elements that follow one another can be read kWide at once.
template <class Number>
bool packs(std::int64_t width, std::initializer_list<const void*> rows) {
  return width % kWide<Number> == 0 &&
         std::ranges::all_of(rows, [](const void* row) { return reinterpret_cast<std::uintptr_t>(row) % 16 == 0; });
}

__device__ inline float warp_sum(float x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
  return x;
}
__device__ inline double warp_sum(double x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
  return x;
}

/// The sum over a block's threads, known to all of them; `lanes` is shared memory for a number per warp.
template <class Number>
__device__ Number block_sum(Number x, Number* lanes) {
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) lanes[threadIdx.x / kWarp] = x;
  __syncthreads();
  Number sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) sum += lanes[warp];
  return sum;
}

}  // namespace coe::cuda
