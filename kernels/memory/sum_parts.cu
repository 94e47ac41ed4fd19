#include "kernels/memory/sum_parts.h"

#include "kernels/memory/launch.cuh"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void sum_kernel(const std::int64_t* parts, std::int64_t n, std::int64_t first, float* sums,
                           std::int64_t count) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    float sum = 0;
    for (std::int64_t part = 0; part < n; ++part) sum += reinterpret_cast<const float*>(parts[part])[first + i];
    sums[i] = sum;
  }
}

}  // namespace

void sum_parts(const Tensor& parts, std::int64_t first, const Tensor& sums, const Stream& stream) {
  launch("sum_parts", sum_kernel, {blocks_for(sums.elements(), kThreads), kThreads}, stream, parts.data<std::int64_t>(),
         parts.elements(), first, sums.data<float>(), sums.elements());
}

}  // namespace coe::cuda
