#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <tuple>
#include <utility>

#include "tests/emulator/blocks.h"
#include "tests/emulator/runtime_calls.h"

// The part of CUDA that the twins use, for a C++ compiler. The language's words:

#define __global__
#define __device__
#define __shared__ thread_local
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

// What a kernel calls:

inline void __syncthreads() { coe::emulator::meet_block(); }
inline int __syncthreads_count(bool mine) {
  thread_local int count;
  __syncthreads();
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  count += mine ? 1 : 0;
  __syncthreads();
  return count;
}

template <class T>
T __shfl_xor_sync(unsigned /*mask*/, T mine, int bits) {
  return coe::emulator::exchange(mine, coe::emulator::lane() ^ static_cast<unsigned>(bits));
}
template <class T>
T __shfl_up_sync(unsigned /*mask*/, T mine, unsigned steps) {
  const unsigned lane = coe::emulator::lane();
  return coe::emulator::exchange(mine, lane < steps ? lane : lane - steps);
}
inline unsigned __ballot_sync(unsigned /*mask*/, bool mine) {
  unsigned votes = 0;
  std::uint64_t* const given = coe::emulator::lanes();
  given[coe::emulator::lane()] = mine ? 1 : 0;
  coe::emulator::meet_warp();
  for (unsigned lane = 0; lane < coe::emulator::kWarp; ++lane) votes |= static_cast<unsigned>(given[lane]) << lane;
  return votes;
}
inline unsigned __match_any_sync(unsigned /*mask*/, std::int32_t mine) {
  unsigned alike = 0;
  std::uint64_t* const given = coe::emulator::lanes();
  given[coe::emulator::lane()] = static_cast<std::uint32_t>(mine);
  coe::emulator::meet_warp();
  for (unsigned lane = 0; lane < coe::emulator::kWarp; ++lane) {
    alike |= (given[lane] == static_cast<std::uint32_t>(mine) ? 1U : 0U) << lane;
  }
  return alike;
}
inline void __syncwarp() { coe::emulator::meet_warp(); }
inline int __all_sync(unsigned mask, bool mine) { return __ballot_sync(mask, mine) == mask ? 1 : 0; }

template <class T>
T atomicAdd(T* to, T x) {
  return std::exchange(*to, *to + x);
}
template <class T>
T atomicMin(T* to, T x) {
  return std::exchange(*to, std::min(*to, x));
}

inline int __popc(unsigned x) { return std::popcount(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline double cospi(double x) { return std::cos(std::numbers::pi * x); }
inline std::int64_t min(std::int64_t x, std::int64_t y) { return std::min(x, y); }

// How a kernel is given to a stream:

struct cudaLaunchConfig_t {
  cudaStream_t stream;
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes;
};

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
  const std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  const unsigned blocks = config->gridDim.x, threads = config->blockDim.x;
  coe::emulator::give(config->stream,
                      [=] { coe::emulator::run_blocks(blocks, threads, [&] { std::apply(kernel, values); }); });
  return cudaSuccess;
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel /*kernel*/, int /*attribute*/, int /*value*/) {
  return cudaSuccess;
}
