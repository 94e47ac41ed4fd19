#pragma once

#include "kernels/memory/launch.cuh"

namespace coe::cuda {

/// Which operand of y = x w^T is computed: y, dx = dy w, or dw += dy^T x.
enum class Wanted { kOutput, kInputGradient, kWeightGradient };

/// Products of one kind over groups of rows, as grouped_linear() has them: x [rows, k], w [groups, n, k], y [rows, n].
/// Without offsets every group has `each` rows, of which the last may lack some.
struct GroupedProduct {
  const void *left, *right;  ///< x and w, dy and w, or dy and x
  void* out;
  const std::int32_t* offsets;
  std::int64_t rows, each, groups, n, k;
  float beta;

  /// The first row of a group; that of `groups` ends the last.
  __device__ std::int64_t begin(std::int64_t group) const {
    return offsets != nullptr ? offsets[group] : min(group * each, rows);
  }
};

/// out [m, n] = a b (+ out): a is [m, k], or [k, m] in the weight gradient; b is [n, k] in the output, else [k, n].
struct TileOfProduct {
  std::int64_t m, n, k;                             ///< extents of the group's product
  std::int64_t left_begin, right_begin, out_begin;  ///< elements before the group's operands
  std::int64_t row, column;                         ///< where the tile begins in out
};

/// Walks the tiles of all groups; a block takes every gridDim.x-th.
template <Wanted kWanted, int kTileRows, int kTileColumns>
class TileWalk {
 public:
  __device__ explicit TileWalk(const GroupedProduct& product) : product_(product), next_(blockIdx.x) {}

  /// The block's next tile; false where there is none.
  __device__ bool next(TileOfProduct& tile) {
    for (; group_ < product_.groups; ++group_) {
      const std::int64_t first = product_.begin(group_), rows = product_.begin(group_ + 1) - first;
      describe(first, rows, tile);
      const std::int64_t down = (tile.m + kTileRows - 1) / kTileRows,
                         across = (tile.n + kTileColumns - 1) / kTileColumns;
      const std::int64_t tiles = rows == 0 ? 0 : down * across;
      if (next_ < tiles) {
        tile.row = next_ / across * kTileRows;
        tile.column = next_ % across * kTileColumns;
        next_ += gridDim.x;
        return true;
      }
      next_ -= tiles;
    }
    return false;
  }

 private:
  __device__ void describe(std::int64_t first, std::int64_t rows, TileOfProduct& tile) const {
    const std::int64_t n = product_.n, k = product_.k, weights = group_ * n * k;
    if constexpr (kWanted == Wanted::kOutput) tile = {rows, n, k, first * k, weights, first * n, 0, 0};
    if constexpr (kWanted == Wanted::kInputGradient) tile = {rows, k, n, first * n, weights, first * k, 0, 0};
    if constexpr (kWanted == Wanted::kWeightGradient) tile = {n, k, rows, first * n, first * k, weights, 0, 0};
  }

  GroupedProduct product_;
  std::int64_t next_, group_ = 0;
};

/// Blocks of a walk: as many as there can be tiles, at most what keeps a device busy.
inline std::int64_t blocks_of_walk(Wanted wanted, const GroupedProduct& product, std::int64_t tile) {
  const auto tiles = [&](std::int64_t extent) { return (extent + tile - 1) / tile; };
  const std::int64_t by_row = tiles(product.rows) + product.groups;
  const std::int64_t all = wanted == Wanted::kOutput          ? by_row * tiles(product.n)
                           : wanted == Wanted::kInputGradient ? by_row * tiles(product.k)
                                                              : product.groups * tiles(product.n) * tiles(product.k);
  constexpr std::int64_t kEnough = 132 * 2;
  return std::min(all, kEnough);
}

/// fp32 by fused multiply-adds, in order of the summed index.
void product_f32(Wanted wanted, const GroupedProduct& product, const Stream& stream);
/// bf16 on tensor cores, sums in fp32; out is bf16 or fp32.
void product_bf16(Wanted wanted, const GroupedProduct& product, bool out_is_bf16, const Stream& stream);

/// The product of sm_90a, bf16 to bf16 (dw: fp32); `workspace` of hopper_workspace_bytes(groups). It takes rows of
/// multiples of 16 bytes on such a device, and nothing in a build without CUTLASS.
bool hopper_takes(const GroupedProduct& product, const Stream& stream);
std::int64_t hopper_workspace_bytes(std::int64_t groups);
void product_hopper(Wanted wanted, const GroupedProduct& product, std::byte* workspace, const Stream& stream);

}  // namespace coe::cuda
