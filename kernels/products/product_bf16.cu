#include "kernels/products/grouped_product.cuh"
#include "kernels/products/tensor_core.cuh"

namespace coe::cuda {
namespace {

using Bfloat = __nv_bfloat16;
constexpr int kTile = 128, kDepth = 32, kThreads = 256, kStages = 3, kBlocks = 2;  // kBlocks: of a multiprocessor
constexpr int kWarpRows = 64, kWarpColumns = 32, kRowBlocks = kWarpRows / 16, kColumnBlocks = kWarpColumns / 8;
constexpr int kChunk = 8, kPadding = 8;  // elements: of 16 bytes, and between rows so that eight rows share no bank

/// A tile of an operand in shared memory, in the order that the operand has in memory: [kTile][kDepth] where depth runs
/// along its rows, else [kDepth][kTile].
template <bool kDeep>
struct Part {
  static constexpr int kRows = kDeep ? kTile : kDepth, kColumns = kDeep ? kDepth : kTile;
  static constexpr int kStride = kColumns + kPadding, kElements = kRows * kStride;
};

/// Starts to copy the part at (row, column) of an operand [rows, columns], 0 outside. kWhole: rows of the operand are
/// multiples of 16 bytes.
template <bool kDeep, bool kWhole>
__device__ void load_part(const Bfloat* from, std::int64_t row, std::int64_t column, std::int64_t rows,
                          std::int64_t columns, Bfloat* to) {
  using P = Part<kDeep>;
  constexpr int kChunks = P::kColumns / kChunk;
  for (int at = static_cast<int>(threadIdx.x); at < P::kRows * kChunks; at += kThreads) {
    const std::int64_t i = row + at / kChunks, j = column + at % kChunks * kChunk;
    const std::int64_t left = i < rows && j < columns ? (columns - j < kChunk ? columns - j : kChunk) : 0;
    const Bfloat* source = from + (left > 0 ? i * columns + j : 0);
    Bfloat* place = to + at / kChunks * P::kStride + at % kChunks * kChunk;
    if constexpr (kWhole) {
      copy_16(place, source, static_cast<int>(left) * 2);
    } else {
      for (int e = 0; e < kChunk; ++e) place[e] = e < left ? source[e] : Bfloat(0.0F);
    }
  }
}

/// Rows [row, row + 16) by depths [depth, depth + 16) of the left operand.
template <bool kDeep>
__device__ void load_left(const Bfloat* part, int row, int depth, unsigned (&to)[4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, matrix = lane / 8, line = lane % 8;
  const int i = row + matrix % 2 * 8, d = depth + matrix / 2 * 8;
  if constexpr (kDeep) return load_matrices(part + (i + line) * Part<kDeep>::kStride + d, to);
  load_matrices_transposed(part + (d + line) * Part<kDeep>::kStride + i, to);
}

/// Columns [column, column + 16) by depths [depth, depth + 16) of the right operand: two blocks of eight columns.
template <bool kDeep>
__device__ void load_right(const Bfloat* part, int column, int depth, unsigned (&to)[4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, matrix = lane / 8, line = lane % 8;
  const int j = column + matrix / 2 * 8, d = depth + matrix % 2 * 8;
  if constexpr (kDeep) return load_matrices(part + (j + line) * Part<kDeep>::kStride + d, to);
  load_matrices_transposed(part + (d + line) * Part<kDeep>::kStride + j, to);
}

template <Wanted kWanted, bool kWhole>
struct Pipeline {
  static constexpr bool kLeftDeep = kWanted != Wanted::kWeightGradient, kRightDeep = kWanted == Wanted::kOutput;
  static constexpr int kStage = Part<kLeftDeep>::kElements + Part<kRightDeep>::kElements;
  static constexpr std::size_t kBytes = static_cast<std::size_t>(kStages) * kStage * sizeof(Bfloat);

  const Bfloat *a, *b;
  Bfloat* memory;

  __device__ const Bfloat* left(std::int64_t step) const { return memory + step % kStages * kStage; }
  __device__ const Bfloat* right(std::int64_t step) const { return left(step) + Part<kLeftDeep>::kElements; }
  __device__ void start(const TileOfProduct& tile, std::int64_t step) const {
    const std::int64_t depth = step * kDepth;
    Bfloat* to = memory + step % kStages * kStage;
    if (depth < tile.k) {
      const bool ld = kLeftDeep, rd = kRightDeep;
      load_part<kLeftDeep, kWhole>(a, ld ? tile.row : depth, ld ? depth : tile.row, ld ? tile.m : tile.k,
                                   ld ? tile.k : tile.m, to);
      load_part<kRightDeep, kWhole>(b, rd ? tile.column : depth, rd ? depth : tile.column, rd ? tile.n : tile.k,
                                    rd ? tile.k : tile.n, to + Part<kLeftDeep>::kElements);
    }
    commit_copies();
  }
  __device__ void multiply(std::int64_t step, float (&sum)[kRowBlocks][kColumnBlocks][4]) const {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int row = warp / (kTile / kWarpColumns) * kWarpRows, column = warp % (kTile / kWarpColumns) * kWarpColumns;
    for (int depth = 0; depth < kDepth; depth += 16) {
      unsigned l[kRowBlocks][4], r[kColumnBlocks / 2][4];
#pragma unroll
      for (int i = 0; i < kRowBlocks; ++i) load_left<kLeftDeep>(left(step), row + i * 16, depth, l[i]);
#pragma unroll
      for (int j = 0; j < kColumnBlocks / 2; ++j) load_right<kRightDeep>(right(step), column + j * 16, depth, r[j]);
#pragma unroll
      for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
        for (int j = 0; j < kColumnBlocks; ++j)
          multiply_add(l[i], r[j / 2][j % 2 * 2], r[j / 2][j % 2 * 2 + 1], sum[i][j]);
      }
    }
  }
};

template <class Out>
__device__ void store(const TileOfProduct& tile, float beta, const float (&sum)[kRowBlocks][kColumnBlocks][4],
                      Out* out) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t top = tile.row + warp / (kTile / kWarpColumns) * kWarpRows + lane / 4;
  const std::int64_t side = tile.column + warp % (kTile / kWarpColumns) * kWarpColumns + lane % 4 * 2;
  // All unrolled, or the sums would lie in local memory.
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
    for (int j = 0; j < kColumnBlocks; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const std::int64_t row = top + i * 16 + e / 2 * 8, column = side + j * 8 + e % 2;
        if (row >= tile.m || column >= tile.n) continue;
        Out& to = out[row * tile.n + column];
        set(to, beta == 0 ? sum[i][j][e] : to_number(to) + sum[i][j][e]);
      }
    }
  }
}

template <Wanted kWanted, bool kWhole, class Out>
__global__ void __launch_bounds__(kThreads, kBlocks) product_kernel(GroupedProduct product) {
  TileWalk<kWanted, kTile, kTile> walk(product);
  TileOfProduct tile;
  while (walk.next(tile)) {
    const Pipeline<kWanted, kWhole> pipeline{static_cast<const Bfloat*>(product.left) + tile.left_begin,
                                             static_cast<const Bfloat*>(product.right) + tile.right_begin,
                                             reinterpret_cast<Bfloat*>(dynamic_shared())};
    float sum[kRowBlocks][kColumnBlocks][4] = {};
    for (int step = 0; step < kStages - 1; ++step) pipeline.start(tile, step);
    for (std::int64_t step = 0; step * kDepth < tile.k; ++step) {
      wait_for_copies<kStages - 2>();
      __syncthreads();
      pipeline.start(tile, step + kStages - 1);
      pipeline.multiply(step, sum);
    }
    wait_for_copies<0>();
    __syncthreads();
    store(tile, product.beta, sum, static_cast<Out*>(product.out) + tile.out_begin);
  }
}

template <Wanted kWanted, bool kWhole, class Out>
void run(const GroupedProduct& product, const Stream& stream) {
  constexpr auto kBytes = Pipeline<kWanted, kWhole>::kBytes;
  const auto kernel = product_kernel<kWanted, kWhole, Out>;
  use("product", stream);
  expect_success("product",
                 cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kBytes)));
  launch("product", kernel, {blocks_of_walk(kWanted, product, kTile), kThreads, kBytes}, stream, product);
}

template <Wanted kWanted, class Out>
void run_whole_or_not(const GroupedProduct& product, const Stream& stream) {
  const auto aligned = [](const void* memory) { return reinterpret_cast<std::uintptr_t>(memory) % 16 == 0; };
  const bool whole =
      product.n % kChunk == 0 && product.k % kChunk == 0 && aligned(product.left) && aligned(product.right);
  if (whole) return run<kWanted, true, Out>(product, stream);
  run<kWanted, false, Out>(product, stream);
}

}  // namespace

void product_bf16(Wanted wanted, const GroupedProduct& product, bool out_is_bf16, const Stream& stream) {
  if (wanted == Wanted::kWeightGradient) return run_whole_or_not<Wanted::kWeightGradient, float>(product, stream);
  if (wanted == Wanted::kOutput && out_is_bf16) return run_whole_or_not<Wanted::kOutput, Bfloat>(product, stream);
  if (wanted == Wanted::kOutput) return run_whole_or_not<Wanted::kOutput, float>(product, stream);
  if (out_is_bf16) return run_whole_or_not<Wanted::kInputGradient, Bfloat>(product, stream);
  run_whole_or_not<Wanted::kInputGradient, float>(product, stream);
}

}  // namespace coe::cuda
