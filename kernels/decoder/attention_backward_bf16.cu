#include "kernels/decoder/attention_tile.cuh"

namespace coe::cuda {
namespace {

/// Keys' kernel: keys of a block, 16 of a warp, and queries of a step. It works on transposed scores [keys, queries].
constexpr int kKeys = 64, kQueries = 64;

template <int kWidth>
struct KeyGradients {
  static constexpr int kElements = kKeys * kTileStride<kWidth>;  // of each of six tiles
  static constexpr std::size_t kBytes = 6 * kElements * sizeof(Bfloat) + 4 * kQueries * sizeof(float);
  using Scores = float[1][kQueries / 8][4];

  Bfloat* memory;
  const Bfloat *q, *dout;
  const float *saved, *row_sums;
  std::int64_t begin, numbers;  ///< of the document's rows of the head, and of theirs in saved and row_sums
  int stride, length, width;
  float scale;  ///< of scores, for powers of two

  __device__ Bfloat* keys() const { return memory; }
  __device__ Bfloat* values() const { return memory + kElements; }
  __device__ Bfloat* queries(int step) const { return memory + (2 + step % 2 * 2) * kElements; }
  __device__ Bfloat* upstream(int step) const { return queries(step) + kElements; }
  __device__ float* logarithms(int step) const {
    return reinterpret_cast<float*>(memory + 6 * kElements) + step % 2 * 2 * kQueries;
  }
  __device__ float* sums(int step) const { return logarithms(step) + kQueries; }
  __device__ void start(int step) const {
    const int first = step * kQueries, left = length - first;
    const std::int64_t at = begin + static_cast<std::int64_t>(first) * stride;
    start_rows<kWidth, kQueries>(q + at, stride, left, width, queries(step));
    start_rows<kWidth, kQueries>(dout + at, stride, left, width, upstream(step));
    const int row = static_cast<int>(threadIdx.x) % kQueries;
    const float* source = (threadIdx.x < kQueries ? saved : row_sums) + numbers + (row < left ? first + row : 0);
    copy_4(logarithms(step) + threadIdx.x, source, row < left ? 4 : 0);
    commit_copies();
  }

  /// Scores become probabilities, 0 for queries before the key; `first` key of the warp.
  __device__ void soften(int first, int step, Scores& scores) const {
    const int key = first + lane_index() / 4, query = step * kQueries, column = lane_index() % 4 * 2;
    const bool hides = query < first + 16;
#pragma unroll
    for (int j = 0; j < kQueries / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int at = column + j * 8 + e % 2;
        const float power = power_of_two(scores[0][j][e] * scale - logarithms(step)[at]);
        scores[0][j][e] = hides && query + at < key + e / 2 * 8 ? 0.0F : power;
      }
    }
  }
  /// Gradients of probabilities become those of scores.
  __device__ void harden(int step, const Scores& probabilities, Scores& gradient) const {
    const float* row_sum = sums(step) + lane_index() % 4 * 2;
#pragma unroll
    for (int j = 0; j < kQueries / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        gradient[0][j][e] = probabilities[0][j][e] * (gradient[0][j][e] - row_sum[j * 8 + e % 2]);
      }
    }
  }
};

template <int kWidth>
__global__ void __launch_bounds__(kTileThreads, 2) key_kernel(AttentionCall<Bfloat> call, int tiles) {
  const AttentionPlace place = place_of<false>(call, tiles, kKeys);
  if (place.first >= place.length) return;
  const std::int64_t begin = place.elements(call);
  const int stride = call.stride();
  const KeyGradients<kWidth> work{.memory = reinterpret_cast<Bfloat*>(dynamic_shared()),
                                  .q = call.q,
                                  .dout = call.dout,
                                  .saved = call.saved,
                                  .row_sums = call.row_sums,
                                  .begin = begin,
                                  .numbers = place.numbers(call),
                                  .stride = stride,
                                  .length = place.length,
                                  .width = call.width,
                                  .scale = call.binary_scale};
  const int own = warp_index() * 16, first = place.first + own, own_element = own * kTileStride<kWidth>;
  const std::int64_t tile = begin + static_cast<std::int64_t>(place.first) * stride;
  float dk[1][kWidth / 8][4] = {}, dv[1][kWidth / 8][4] = {};
  start_rows<kWidth, kKeys>(call.k + tile, stride, place.length - place.first, call.width, work.keys());
  start_rows<kWidth, kKeys>(call.v + tile, stride, place.length - place.first, call.width, work.values());
  work.start(place.first / kQueries);
  for (int step = place.first / kQueries; step * kQueries < place.length; ++step) {
    wait_for_copies<0>();
    __syncthreads();
    if ((step + 1) * kQueries < place.length) work.start(step + 1);
    if (first >= place.length) continue;
    typename KeyGradients<kWidth>::Scores scores, gradient;
    multiply_transposed<kWidth, 1, kQueries>(work.keys() + anew(own_element), work.queries(step), scores);
    work.soften(first, step, scores);
    add_product<kWidth, 1, kQueries>(scores, work.upstream(step), dv);
    multiply_transposed<kWidth, 1, kQueries>(work.values() + anew(own_element), work.upstream(step), gradient);
    work.harden(step, scores, gradient);
    add_product<kWidth, 1, kQueries>(gradient, work.queries(step), dk);
  }
#pragma unroll
  for (int i = 0; i < kWidth / 8 * 4; ++i) dk[0][i / 4][i % 4] *= call.scale;
  const std::int64_t to = begin + static_cast<std::int64_t>(first) * stride;
  const int count = place.length - first;
  store_rows<kWidth, 1>(dk, work.keys() + own_element, call.dk + to, stride, count, call.width);
  store_rows<kWidth, 1>(dv, work.values() + own_element, call.dv + to, stride, count, call.width);
}

/// Queries' kernel: queries of a block, of a warp as blocks of 16, and keys of a step.
constexpr int kOwnQueries = 128, kBlocks = kOwnQueries / kTileWarps / 16, kStepKeys = 32;

template <int kWidth>
struct QueryGradients {
  static constexpr int kQueryElements = kOwnQueries * kTileStride<kWidth>;
  static constexpr int kKeyElements = kStepKeys * kTileStride<kWidth>;
  static constexpr std::size_t kBytes = (2 * kQueryElements + 4 * kKeyElements) * sizeof(Bfloat);
  using Scores = float[kBlocks][kStepKeys / 8][4];
  using Numbers = float[kBlocks][2];

  Bfloat* memory;
  const Bfloat *k, *v;
  int stride, length, width;
  float scale;  ///< of scores, for powers of two

  __device__ Bfloat* queries() const { return memory; }
  __device__ Bfloat* upstream() const { return memory + kQueryElements; }
  __device__ Bfloat* keys(int step) const { return memory + 2 * kQueryElements + step % 2 * 2 * kKeyElements; }
  __device__ Bfloat* values(int step) const { return keys(step) + kKeyElements; }
  __device__ void start(int step) const {
    const int first = step * kStepKeys;
    const std::int64_t offset = static_cast<std::int64_t>(first) * stride;
    start_rows<kWidth, kStepKeys>(k + offset, stride, length - first, width, keys(step));
    start_rows<kWidth, kStepKeys>(v + offset, stride, length - first, width, values(step));
    commit_copies();
  }

  /// Those of the lane's rows, of which `count` are there.
  __device__ static void read(const float* numbers, int count, Numbers& to) {
#pragma unroll
    for (int i = 0; i < kBlocks * 2; ++i) {
      const int row = i * 8 + lane_index() / 4;
      to[i / 2][i % 2] = row < count ? numbers[row] : 0.0F;
    }
  }
  /// Scores and gradients of probabilities become gradients of scores, 0 for keys behind the query; `first` of the
  /// warp.
  __device__ void harden(int first, int step, const Numbers& logarithms, const Numbers& row_sums, Scores& scores,
                         const Scores& gradient) const {
    const int query = first + lane_index() / 4, key = step * kStepKeys + lane_index() % 4 * 2;
    const bool hides = (step + 1) * kStepKeys - 1 > first;
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
#pragma unroll
      for (int j = 0; j < kStepKeys / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const float power = power_of_two(scores[i][j][e] * scale - logarithms[i][e / 2]);
          const bool hidden = hides && key + j * 8 + e % 2 > query + i * 16 + e / 2 * 8;
          scores[i][j][e] = hidden ? 0.0F : power * (gradient[i][j][e] - row_sums[i][e / 2]);
        }
      }
    }
  }
};

template <int kWidth>
__global__ void __launch_bounds__(kTileThreads, 2) query_kernel(AttentionCall<Bfloat> call, int tiles) {
  using Work = QueryGradients<kWidth>;
  const AttentionPlace place = place_of<true>(call, tiles, kOwnQueries);
  if (place.first >= place.length) return;
  const std::int64_t begin = place.elements(call), numbers = place.numbers(call);
  const int stride = call.stride();
  const Work work{.memory = reinterpret_cast<Bfloat*>(dynamic_shared()),
                  .k = call.k + begin,
                  .v = call.v + begin,
                  .stride = stride,
                  .length = place.length,
                  .width = call.width,
                  .scale = call.binary_scale};
  const int own = warp_index() * kBlocks * 16, first = place.first + own, last = first + kBlocks * 16 - 1;
  const int own_element = own * kTileStride<kWidth>, count = place.length - first;
  const int end = place.first + kOwnQueries < place.length ? place.first + kOwnQueries : place.length;
  const std::int64_t tile = begin + static_cast<std::int64_t>(place.first) * stride;
  start_rows<kWidth, kOwnQueries>(call.q + tile, stride, place.length - place.first, call.width, work.queries());
  start_rows<kWidth, kOwnQueries>(call.dout + tile, stride, place.length - place.first, call.width, work.upstream());
  work.start(0);
  typename Work::Numbers logarithms, row_sums;
  Work::read(call.saved + numbers + first, count, logarithms);
  Work::read(call.row_sums + numbers + first, count, row_sums);
  float dq[kBlocks][kWidth / 8][4] = {};
  for (int step = 0; step * kStepKeys < end; ++step) {
    wait_for_copies<0>();
    __syncthreads();
    if ((step + 1) * kStepKeys < end) work.start(step + 1);
    if (step * kStepKeys > last || first >= place.length) continue;
    typename Work::Scores scores, gradient;
    multiply_transposed<kWidth, kBlocks, kStepKeys>(work.queries() + anew(own_element), work.keys(step), scores);
    multiply_transposed<kWidth, kBlocks, kStepKeys>(work.upstream() + anew(own_element), work.values(step), gradient);
    work.harden(first, step, logarithms, row_sums, scores, gradient);
    add_product<kWidth, kBlocks, kStepKeys>(scores, work.keys(step), dq);
  }
#pragma unroll
  for (int i = 0; i < kBlocks * (kWidth / 2); ++i) dq[i / (kWidth / 2)][i / 4 % (kWidth / 8)][i % 4] *= call.scale;
  store_rows<kWidth, kBlocks>(dq, work.queries() + own_element,
                              call.dq + begin + static_cast<std::int64_t>(first) * stride, stride, count, call.width);
}

}  // namespace

void attention_backward_bf16(const AttentionCall<Bfloat>& call, const Stream& stream) {
  with_width(call.width, [&](auto width) {
    launch_tiles("attention_backward", key_kernel<width>, call, kKeys, kTileThreads, KeyGradients<width>::kBytes,
                 stream);
    launch_tiles("attention_backward", query_kernel<width>, call, kOwnQueries, kTileThreads,
                 QueryGradients<width>::kBytes, stream);
  });
}

}  // namespace coe::cuda
