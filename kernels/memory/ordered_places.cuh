#pragma once

#include "kernels/memory/launch.cuh"

namespace coe::cuda {

/// What a thread that takes no place asks for.
inline constexpr std::int32_t kNoBucket = -1;

__device__ inline std::int32_t warp_inclusive_sum(std::int32_t x) {
  for (int step = 1; step < kWarp; step *= 2) {
    const std::int32_t before = __shfl_up_sync(kAllLanes, x, static_cast<unsigned>(step));
    if (static_cast<int>(threadIdx.x % kWarp) >= step) x += before;
  }
  return x;
}

/// Takes the next place in each thread's bucket, in the order of the threads; all kThreads threads of a block call it.
template <int kThreads>
__device__ std::int32_t take_place(std::int32_t bucket, std::int32_t* next) {
  const unsigned warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const unsigned alike = __match_any_sync(kAllLanes, bucket);
  const bool last = (alike >> lane) == 1U, asks = bucket != kNoBucket;
  std::int32_t place = __popc(alike & ((1U << lane) - 1U));
  for (unsigned turn = 0; turn < kThreads / kWarp; ++turn) {
    if (warp == turn && asks) place += next[bucket];
    __syncwarp();
    if (warp == turn && asks && last) next[bucket] = place + 1;
    __syncthreads();
  }
  return place;
}

}  // namespace coe::cuda
