#include "kernels/products/grouped_product.cuh"

namespace coe::cuda {
namespace {

constexpr int kTile = 64, kDepth = 16, kThreads = 256, kEach = 4, kSide = kTile / kEach;

/// part[depth][i] = the operand's element (i, depth) of the tile, 0 outside; `deep` says that depth runs along rows of
/// memory, whose `stride` is the operand's width.
__device__ void load_part(const float* from, bool deep, std::int64_t stride, std::int64_t begin, std::int64_t extent,
                          std::int64_t depth, std::int64_t depths, float (*part)[kTile + 1]) {
  for (int at = static_cast<int>(threadIdx.x); at < kTile * kDepth; at += kThreads) {
    const int i = deep ? at / kDepth : at % kTile, d = deep ? at % kDepth : at / kTile;
    const bool inside = begin + i < extent && depth + d < depths;
    const std::int64_t place = deep ? (begin + i) * stride + depth + d : (depth + d) * stride + begin + i;
    part[d][i] = inside ? from[place] : 0.0F;
  }
}

template <Wanted kWanted>
__global__ void __launch_bounds__(kThreads) product_kernel(GroupedProduct product) {
  constexpr bool kLeftDeep = kWanted != Wanted::kWeightGradient, kRightDeep = kWanted == Wanted::kOutput;
  __shared__ float left[kDepth][kTile + 1], right[kDepth][kTile + 1];
  const int down = static_cast<int>(threadIdx.x) / kSide, across = static_cast<int>(threadIdx.x) % kSide;
  TileWalk<kWanted, kTile, kTile> walk(product);
  TileOfProduct tile;
  while (walk.next(tile)) {
    const float* a = static_cast<const float*>(product.left) + tile.left_begin;
    const float* b = static_cast<const float*>(product.right) + tile.right_begin;
    float* out = static_cast<float*>(product.out) + tile.out_begin;
    float sum[kEach][kEach] = {};
    for (std::int64_t depth = 0; depth < tile.k; depth += kDepth) {
      load_part(a, kLeftDeep, kLeftDeep ? tile.k : tile.m, tile.row, tile.m, depth, tile.k, left);
      load_part(b, kRightDeep, kRightDeep ? tile.k : tile.n, tile.column, tile.n, depth, tile.k, right);
      __syncthreads();
      for (int d = 0; d < kDepth; ++d) {
        for (int i = 0; i < kEach; ++i) {
          for (int j = 0; j < kEach; ++j)
            sum[i][j] = fmaf(left[d][down + i * kSide], right[d][across + j * kSide], sum[i][j]);
        }
      }
      __syncthreads();
    }
    for (int i = 0; i < kEach; ++i) {
      for (int j = 0; j < kEach; ++j) {
        const std::int64_t row = tile.row + down + i * kSide, column = tile.column + across + j * kSide;
        if (row >= tile.m || column >= tile.n) continue;
        float& to = out[row * tile.n + column];
        to = product.beta == 0 ? sum[i][j] : to + sum[i][j];
      }
    }
  }
}

}  // namespace

void product_f32(Wanted wanted, const GroupedProduct& product, const Stream& stream) {
  const auto run = [&](auto kernel) {
    launch("product", kernel, {blocks_of_walk(wanted, product, kTile), kThreads}, stream, product);
  };
  switch (wanted) {
    case Wanted::kOutput: return run(product_kernel<Wanted::kOutput>);
    case Wanted::kInputGradient: return run(product_kernel<Wanted::kInputGradient>);
    case Wanted::kWeightGradient: return run(product_kernel<Wanted::kWeightGradient>);
  }
}

}  // namespace coe::cuda
