#include "kernels/memory/launch.cuh"
#include "kernels/routing/tally.h"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void tally_kernel(const std::int32_t* counts, std::int64_t n, std::int64_t* sums) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    sums[i] += counts[i];
  }
}

/// One block.
__global__ void rerouted_kernel(const std::int32_t* offsets, std::int64_t tokens, const std::uint8_t* chosen,
                                const std::int32_t* holder, std::int64_t* sum) {
  __shared__ double lanes[kWarp];
  const std::int32_t choices = offsets[tokens];
  double mine = 0;
  for (std::int32_t j = static_cast<std::int32_t>(threadIdx.x); j < choices; j += blockDim.x) {
    mine += chosen[j] == 0 && holder[j] >= 0 ? 1.0 : 0.0;
  }
  const double all = block_sum(mine, lanes);
  if (threadIdx.x == 0) *sum += static_cast<std::int64_t>(all);
}

}  // namespace

void tally(const Tensor& counts, const Tensor& sums, const Stream& stream) {
  launch("tally", tally_kernel, {blocks_for(counts.elements(), kThreads), kThreads}, stream,
         counts.data<std::int32_t>(), counts.elements(), sums.data<std::int64_t>());
}

void tally_rerouted(const Tensor& offsets, const Tensor& chosen, const Tensor& holder, const Tensor& sum,
                    const Stream& stream) {
  launch("tally_rerouted", rerouted_kernel, {1, kThreads}, stream, offsets.data<std::int32_t>(), offsets.elements() - 1,
         chosen.data<std::uint8_t>(), holder.data<std::int32_t>(), sum.data<std::int64_t>());
}

}  // namespace coe::cuda
