#pragma once

#include "kernels/decoder/attention_call.cuh"
#include "kernels/products/tensor_core.cuh"

namespace coe::cuda {

/// What a warp does with tiles of rows of one head in shared memory, [rows][kTileStride<kWidth>], 0 beyond the head's
/// width. Sums are fragments of the PTX ISA's mma.m16n8k16: sum[16 rows][8 columns][4].

using Bfloat = __nv_bfloat16;
constexpr int kTileThreads = 128, kTileWarps = kTileThreads / kWarp;
constexpr int kChunk = 8;  // elements of 16 bytes
/// Eight rows that follow one another share no bank.
template <int kWidth>
constexpr int kTileStride = kWidth + 8;

__device__ inline int warp_index() { return static_cast<int>(threadIdx.x) / kWarp; }
__device__ inline int lane_index() { return static_cast<int>(threadIdx.x) % kWarp; }

/// Starts to copy kRows rows of memory, of which `count` are there; the others are 0, as is what a head has not.
template <int kWidth, int kRows>
__device__ void start_rows(const Bfloat* from, int stride, int count, int width, Bfloat* to) {
  constexpr int kChunks = kWidth / kChunk, kStep = kTileThreads / kChunks;
  const int thread = static_cast<int>(threadIdx.x), row = thread / kChunks, column = thread % kChunks * kChunk;
  const int left = column < width ? count - row : 0;
  from += row * stride + column;
  to += row * kTileStride<kWidth> + column;
#pragma unroll
  for (int i = 0; i < kRows / kStep; ++i) {
    copy_16(to + i * kStep * kTileStride<kWidth>, from, i * kStep < left ? 16 : 0);
    from += kStep * stride;
  }
}

/// sum = left right^T: kBlocks * 16 rows by kRows rows.
template <int kWidth, int kBlocks, int kRows>
__device__ void multiply_transposed(const Bfloat* left, const Bfloat* right, float (&sum)[kBlocks][kRows / 8][4]) {
  constexpr int kStride = kTileStride<kWidth>;
  const int lane = lane_index(), line = lane % 8, odd = lane / 8 % 2 * 8, second = lane / 16 * 8;
#pragma unroll
  for (int i = 0; i < kBlocks * (kRows / 8) * 4; ++i) sum[i / (kRows / 2)][i / 4 % (kRows / 8)][i % 4] = 0;
#pragma unroll
  for (int depth = 0; depth < kWidth; depth += 16) {
    unsigned l[kBlocks][4];
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) load_matrices(left + (i * 16 + odd + line) * kStride + depth + second, l[i]);
#pragma unroll
    for (int j = 0; j < kRows / 16; ++j) {
      unsigned r[4];
      load_matrices(right + (j * 16 + second + line) * kStride + depth + odd, r);
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {
        multiply_add(l[i], r[0], r[1], sum[i][j * 2]);
        multiply_add(l[i], r[2], r[3], sum[i][j * 2 + 1]);
      }
    }
  }
}

/// sum += weights right, the weights as bf16: kBlocks * 16 rows by kRows rows times kRows rows.
template <int kWidth, int kBlocks, int kRows>
__device__ void add_product(const float (&weights)[kBlocks][kRows / 8][4], const Bfloat* right,
                            float (&sum)[kBlocks][kWidth / 8][4]) {
  constexpr int kStride = kTileStride<kWidth>;
  const int lane = lane_index(), line = lane % 8, odd = lane / 8 % 2 * 8, second = lane / 16 * 8;
#pragma unroll
  for (int depth = 0; depth < kRows / 16; ++depth) {
    unsigned l[kBlocks][4];
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float(&pair)[4] = weights[i][depth * 2 + e / 2];
        l[i][e] = pack(pair[e % 2 * 2], pair[e % 2 * 2 + 1]);
      }
    }
#pragma unroll
    for (int j = 0; j < kWidth / 16; ++j) {
      unsigned r[4];
      load_matrices_transposed(right + (depth * 16 + odd + line) * kStride + j * 16 + second, r);
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {
        multiply_add(l[i], r[0], r[1], sum[i][j * 2]);
        multiply_add(l[i], r[2], r[3], sum[i][j * 2 + 1]);
      }
    }
  }
}

/// Writes a warp's sums to `count` rows of memory, in pieces of 16 bytes, by way of rows in shared memory that no other
/// warp reads.
template <int kWidth, int kBlocks>
__device__ void store_rows(const float (&sum)[kBlocks][kWidth / 8][4], Bfloat* own, Bfloat* to, int stride, int count,
                           int width) {
  constexpr int kStride = kTileStride<kWidth>, kChunks = kWidth / kChunk;
  using Chunk = Pack<unsigned, 4>;
  const int lane = lane_index();
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kBlocks; ++i) {
#pragma unroll
    for (int j = 0; j < kWidth / 8; ++j) {
      Bfloat* place = own + (i * 16 + lane / 4) * kStride + j * 8 + lane % 4 * 2;
      *reinterpret_cast<unsigned*>(place) = pack(sum[i][j][0], sum[i][j][1]);
      *reinterpret_cast<unsigned*>(place + 8 * kStride) = pack(sum[i][j][2], sum[i][j][3]);
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kBlocks * 16 * kChunks / kWarp; ++i) {
    const int at = lane + i * kWarp, row = at / kChunks, column = at % kChunks * kChunk;
    if (row >= count || column >= width) continue;
    *reinterpret_cast<Chunk*>(to + row * stride + column) =
        *reinterpret_cast<const Chunk*>(own + row * kStride + column);
  }
}

}  // namespace coe::cuda
