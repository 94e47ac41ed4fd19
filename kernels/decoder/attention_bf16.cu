#include "kernels/decoder/attention_tile.cuh"

namespace coe::cuda {
namespace {

/// Queries of a block, of a warp as blocks of 16, and keys of a step.
constexpr int kQueries = 128, kBlocks = kQueries / kTileWarps / 16, kKeys = 64;

template <int kWidth>
struct Forward {
  static constexpr int kQueryElements = kQueries * kTileStride<kWidth>, kKeyElements = kKeys * kTileStride<kWidth>;
  static constexpr std::size_t kBytes = (kQueryElements + 4 * kKeyElements) * sizeof(Bfloat);
  using Scores = float[kBlocks][kKeys / 8][4];
  using Sums = float[kBlocks][kWidth / 8][4];

  Bfloat* queries;
  const Bfloat *k, *v;
  std::int64_t begin;  ///< of the document's rows of the head
  int stride, length, width;
  float scale;                  ///< of scores, for powers of two
  float most[kBlocks][2] = {};  ///< scaled scores of a row
  float sum[kBlocks][2] = {};   ///< this lane's part of a row's sum of powers

  __device__ Bfloat* keys(int step) const { return queries + kQueryElements + step % 2 * 2 * kKeyElements; }
  __device__ Bfloat* values(int step) const { return keys(step) + kKeyElements; }
  __device__ void start(int step) const {
    const std::int64_t at = begin + static_cast<std::int64_t>(step * kKeys) * stride;
    start_rows<kWidth, kKeys>(k + at, stride, length - step * kKeys, width, keys(step));
    start_rows<kWidth, kKeys>(v + at, stride, length - step * kKeys, width, values(step));
    commit_copies();
  }

  /// Hides the keys behind a query; `first` of the warp.
  __device__ void mask(int first, int step, Scores& scores) const {
    const int query = first + lane_index() / 4, key = step * kKeys + lane_index() % 4 * 2;
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          if (key + j * 8 + e % 2 > query + i * 16 + e / 2 * 8) scores[i][j][e] = -INFINITY;
        }
      }
    }
  }

  /// Scores become powers of two under the new most score, to which the sums so far are scaled.
  __device__ void soften(Scores& scores, Sums& out) {
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float top = scores[i][0][h * 2];
#pragma unroll
        for (int j = 0; j < kKeys / 8; ++j) top = fmaxf(top, fmaxf(scores[i][j][h * 2], scores[i][j][h * 2 + 1]));
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
        top = fmaxf(most[i][h], fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2)) * scale);
        const float fewer = power_of_two(most[i][h] - top);
        most[i][h] = top;
        sum[i][h] *= fewer;
#pragma unroll
        for (int j = 0; j < kKeys / 8 * 2; ++j) {
          float& score = scores[i][j / 2][h * 2 + j % 2];
          score = power_of_two(score * scale - top);
          sum[i][h] += score;
        }
#pragma unroll
        for (int j = 0; j < kWidth / 8 * 2; ++j) out[i][j / 2][h * 2 + j % 2] *= fewer;
      }
    }
  }

  /// Divides by the rows' sums and saves their logarithms, those of `count` rows.
  __device__ void finish(Sums& out, int count, float* saved) {
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float all = sum[i][h] + __shfl_xor_sync(kAllLanes, sum[i][h], 1);
        all += __shfl_xor_sync(kAllLanes, all, 2);
        const int row = i * 16 + h * 8 + lane_index() / 4;
        if (row < count && lane_index() % 4 == 0) saved[row] = most[i][h] + log2f(all);
        const float part = 1.0F / all;
#pragma unroll
        for (int j = 0; j < kWidth / 8 * 2; ++j) out[i][j / 2][h * 2 + j % 2] *= part;
      }
    }
  }
};

template <int kWidth>
__global__ void __launch_bounds__(kTileThreads, 2) forward_kernel(AttentionCall<Bfloat> call, int tiles) {
  const AttentionPlace place = place_of<true>(call, tiles, kQueries);
  if (place.first >= place.length) return;
  const std::int64_t begin = place.elements(call);
  const int stride = call.stride();
  Forward<kWidth> forward{.queries = reinterpret_cast<Bfloat*>(dynamic_shared()),
                          .k = call.k,
                          .v = call.v,
                          .begin = begin,
                          .stride = stride,
                          .length = place.length,
                          .width = call.width,
                          .scale = call.binary_scale};
  const int own = warp_index() * kBlocks * 16, first = place.first + own, own_element = own * kTileStride<kWidth>;
  const int end = place.first + kQueries < place.length ? place.first + kQueries : place.length;
  const int steps = first < place.length ? (first + kBlocks * 16 - 1) / kKeys + 1 : 0;  // of this warp
  typename Forward<kWidth>::Sums out = {};
#pragma unroll
  for (int i = 0; i < kBlocks; ++i) forward.most[i][0] = forward.most[i][1] = -INFINITY;
  start_rows<kWidth, kQueries>(call.q + begin + static_cast<std::int64_t>(place.first) * stride, stride,
                               place.length - place.first, call.width, forward.queries);
  forward.start(0);
  for (int step = 0; step * kKeys < end; ++step) {
    wait_for_copies<0>();
    __syncthreads();
    if ((step + 1) * kKeys < end) forward.start(step + 1);
    if (step >= steps) continue;
    typename Forward<kWidth>::Scores scores;
    multiply_transposed<kWidth, kBlocks, kKeys>(forward.queries + anew(own_element), forward.keys(step), scores);
    if ((step + 1) * kKeys - 1 > first) forward.mask(first, step, scores);
    forward.soften(scores, out);
    add_product<kWidth, kBlocks, kKeys>(scores, forward.values(step), out);
  }
  const int count = place.length - first;
  forward.finish(out, count, call.saved + place.numbers(call) + first);
  store_rows<kWidth, kBlocks>(out, forward.queries + own_element,
                              call.out + begin + static_cast<std::int64_t>(first) * stride, stride, count, call.width);
}

}  // namespace

void attention_bf16(const AttentionCall<Bfloat>& call, const Stream& stream) {
  with_width(call.width, [&](auto width) {
    launch_tiles("attention", forward_kernel<width>, call, kQueries, kTileThreads, Forward<width>::kBytes, stream);
  });
}

}  // namespace coe::cuda
