#pragma once

#include <array>
#include <cstdint>
#include <utility>

namespace coe {

// The widest vectors of the machine that this is compiled for, and the tile of a product that fits its registers. The
// kernels may be compiled for another machine than their callers, so that all of this is each translation unit's own.
#if defined(__AVX512F__)
constexpr int kGemmLanes = 16, kGemmRows = 12, kGemmVectors = 2;
#elif defined(__AVX__)
constexpr int kGemmLanes = 8, kGemmRows = 4, kGemmVectors = 3;
#else
constexpr int kGemmLanes = 4, kGemmRows = 4, kGemmVectors = 2;
#endif

using Lanes [[gnu::vector_size(kGemmLanes * sizeof(float))]] = float;
using LanesAnywhere [[gnu::vector_size(kGemmLanes * sizeof(float)), gnu::aligned(4), gnu::may_alias]] = float;

static inline Lanes load_lanes(const float* from) { return *reinterpret_cast<const LanesAnywhere*>(from); }
static inline void store_lanes(const Lanes& lanes, float* to) { *reinterpret_cast<LanesAnywhere*>(to) = lanes; }

/// Where a tile finds its rows of op(a): element (r, k) stands at data[r row_step + k inner_step].
struct TileRows {
  const float* data;
  std::int64_t row_step, inner_step;
};

/// out [Rows, Vectors lanes] (+)= rows [Rows, inner] panel [inner, Vectors lanes]. Every element is one chain of fused
/// multiply-adds in ascending k, whatever the tile's size.
template <int Rows, int Vectors, bool Transposed>
static void gemm_tile(const TileRows& a, const float* panel, std::int64_t inner, bool accumulate, float* out,
                      std::int64_t stride) {
  std::array<std::array<Lanes, Vectors>, Rows> sums{};
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(out + r * stride + v * kGemmLanes, 1);
  }
  const float* row = a.data;
  const std::int64_t row_step = Transposed ? 1 : a.row_step, inner_step = Transposed ? a.inner_step : 1;
  for (std::int64_t k = 0; k < inner; ++k, row += inner_step, panel += Vectors * kGemmLanes) {
    std::array<Lanes, Vectors> columns;
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) columns[v] = load_lanes(panel + v * kGemmLanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const float x = row[r * row_step];
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sums[r][v] += x * columns[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      float* const to = out + r * stride + v * kGemmLanes;
      store_lanes(accumulate ? load_lanes(to) + sums[r][v] : sums[r][v], to);
    }
  }
}

/// Swaps, between each pair of vectors that stand Distance apart, the lanes that would cross the diagonal.
template <int Distance, int... Lane>
static void swap_across(std::array<Lanes, kGemmLanes>& rows, std::integer_sequence<int, Lane...> /*lanes*/) {
#pragma GCC unroll 16
  for (int i = 0; i < kGemmLanes; ++i) {
    if ((i & Distance) != 0) continue;
    const Lanes upper = rows[i], lower = rows[i + Distance];
    rows[i] =
        __builtin_shufflevector(upper, lower, ((Lane & Distance) == 0 ? Lane : kGemmLanes + (Lane ^ Distance))...);
    rows[i + Distance] =
        __builtin_shufflevector(upper, lower, ((Lane & Distance) == 0 ? (Lane ^ Distance) : kGemmLanes + Lane)...);
  }
}

/// Transposes a square of lanes.
static inline void transpose_lanes(std::array<Lanes, kGemmLanes>& rows) {
  constexpr auto kLanes = std::make_integer_sequence<int, kGemmLanes>();
  swap_across<1>(rows, kLanes);
  swap_across<2>(rows, kLanes);
  if constexpr (kGemmLanes > 4) swap_across<4>(rows, kLanes);
  if constexpr (kGemmLanes > 8) swap_across<8>(rows, kLanes);
}

}  // namespace coe
