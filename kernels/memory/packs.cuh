#pragma once

#include "kernels/memory/launch.cuh"

namespace coe::cuda {

/// kWidth neighbours as floats, read 16 bytes at once, or all of them where they are fewer; aligned to that.
template <class Number, int kWidth>
__device__ void read_floats(const Number* from, float (&to)[kWidth]) {
  constexpr int kPack = kWidth < kWide<Number> ? kWidth : kWide<Number>;
#pragma unroll
  for (int first = 0; first < kWidth; first += kPack) {
    const auto pack = *reinterpret_cast<const Pack<Number, kPack>*>(from + first);
#pragma unroll
    for (int lane = 0; lane < kPack; ++lane) to[first + lane] = to_number(pack.values[lane]);
  }
}

/// The other way.
template <class Number, int kWidth>
__device__ void write_floats(Number* to, const float (&from)[kWidth]) {
  constexpr int kPack = kWidth < kWide<Number> ? kWidth : kWide<Number>;
#pragma unroll
  for (int first = 0; first < kWidth; first += kPack) {
    Pack<Number, kPack> pack;
#pragma unroll
    for (int lane = 0; lane < kPack; ++lane) set(pack.values[lane], from[first + lane]);
    *reinterpret_cast<Pack<Number, kPack>*>(to + first) = pack;
  }
}

/// Threads for a row's packs, whole warps of at most `most`.
inline int threads_for(std::int64_t packs, int most) {
  return static_cast<int>(std::clamp<std::int64_t>((packs + kWarp - 1) / kWarp * kWarp, kWarp, most));
}

}  // namespace coe::cuda
