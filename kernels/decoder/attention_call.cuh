#pragma once

#include "kernels/memory/launch.cuh"

namespace coe::cuda {

/// What the kernels of attention are given: operands [rows, heads * width], one document after the other.
template <class Number>
struct AttentionCall {
  const std::int32_t* offsets;  ///< [documents + 1]
  int documents, heads, width;
  std::int64_t rows, longest;
  float scale;         ///< of a score
  float binary_scale;  ///< the same where its power is of 2
  const Number *q, *k, *v;
  Number* out;
  float* saved;  ///< [heads, rows]: log2 of a row's sum of exp
  /// What only the backward has; row_sums [heads, rows] are of dout * out.
  const Number* dout = nullptr;
  Number *dq = nullptr, *dk = nullptr, *dv = nullptr;
  float* row_sums = nullptr;

  __device__ int stride() const { return heads * width; }
};

template <class Number>
int tiles_of(const AttentionCall<Number>& call, int tile_rows) {
  return static_cast<int>((call.longest + tile_rows - 1) / tile_rows);
}

/// A tile of one document's rows, of one head.
struct AttentionPlace {
  std::int64_t begin;  ///< of the document
  int length, head, first;

  /// Elements to the first row of the document.
  template <class Number>
  __device__ std::int64_t elements(const AttentionCall<Number>& call) const {
    return begin * call.stride() + static_cast<std::int64_t>(head) * call.width;
  }
  /// To the document's part of `saved`, `row_sums`.
  template <class Number>
  __device__ std::int64_t numbers(const AttentionCall<Number>& call) const {
    return head * call.rows + begin;
  }
};

/// DocumentRows' heads whose tiles are near in time, so that those of one head find its rows in the L2 cache. Among
/// them the heaviest come first.
inline constexpr int kNearPairs = 64;

/// The tile of this block, of tiles * documents * heads blocks; the heaviest are the last, or the first, of a document.
template <bool kLastIsHeaviest, class Number>
__device__ AttentionPlace place_of(const AttentionCall<Number>& call, int tiles, int tile_rows) {
  const int block = static_cast<int>(blockIdx.x), pairs = call.documents * call.heads;
  const int group = block / (kNearPairs * tiles), within = block % (kNearPairs * tiles);
  const int left = pairs - group * kNearPairs, near = left < kNearPairs ? left : kNearPairs;
  const int pair = group * kNearPairs + within % near, tile = within / near;
  const std::int32_t* offset = call.offsets + pair / call.heads;
  return {offset[0], offset[1] - offset[0], pair % call.heads, (kLastIsHeaviest ? tiles - 1 - tile : tile) * tile_rows};
}

/// Tensor cores, where rows are whole pieces of 16 bytes.
void attention_bf16(const AttentionCall<__nv_bfloat16>& call, const Stream& stream);
void attention_backward_bf16(const AttentionCall<__nv_bfloat16>& call, const Stream& stream);
/// Fused multiply-adds, for float and __nv_bfloat16.
template <class Number>
void attention_plain(const AttentionCall<Number>& call, const Stream& stream);
template <class Number>
void attention_backward_plain(const AttentionCall<Number>& call, const Stream& stream);

inline constexpr int kWidestHead = 128;

/// Calls run(std::integral_constant<int, W>) with the narrowest W of 32, 64 and 128 that a head fits.
template <class Run>
void with_width(int width, const Run& run) {
  if (width <= 32) return run(std::integral_constant<int, 32>());
  if (width <= 64) return run(std::integral_constant<int, 64>());
  run(std::integral_constant<int, kWidestHead>());
}

/// Gives a kernel that takes (call, tiles) a block for each tile of each document's heads.
template <class Number>
void launch_tiles(const char* what, void (*kernel)(AttentionCall<Number>, int), const AttentionCall<Number>& call,
                  int tile_rows, int threads, std::size_t shared_bytes, const Stream& stream) {
  const int tiles = tiles_of(call, tile_rows);
  use(what, stream);
  expect_success(
      what, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
  const std::int64_t blocks = static_cast<std::int64_t>(tiles) * call.documents * call.heads;
  launch(what, kernel, {blocks, threads, shared_bytes}, stream, call, tiles);
}

}  // namespace coe::cuda
