#include "kernels/decoder/attention_call.cuh"

namespace coe::cuda {
namespace {

/// A block has a tile of rows, of which each is eight threads' of one warp: a thread computes every eighth score of its
/// row with a tile of other rows, and sums every eighth column.
constexpr int kTile = 32, kLanes = 8, kThreads = kTile * kLanes, kScores = kTile / kLanes;
template <int kWidth>
constexpr int kElements = kTile*(kWidth + 1);  // of a tile in shared memory; rows begin in different banks
constexpr int kWeights = kTile * (kTile + 1);

template <int kWidth>
using Sums = float[kWidth / kLanes];
using Scores = float[kScores];

__device__ inline int own_row() { return static_cast<int>(threadIdx.x) / kLanes; }
__device__ inline int own_lane() { return static_cast<int>(threadIdx.x) % kLanes; }

/// kTile rows of memory, of which `count` are there; the others are 0, as is what a head has not.
template <int kWidth, class Number>
__device__ void load_tile(const Number* from, std::int64_t stride, int count, int width, float* to) {
  for (int at = static_cast<int>(threadIdx.x); at < kTile * kWidth; at += kThreads) {
    const int row = at / kWidth, column = at % kWidth;
    to[row * (kWidth + 1) + column] = row < count && column < width ? to_number(from[row * stride + column]) : 0.0F;
  }
}

/// The own row of `left` with the thread's rows of `right`.
template <int kWidth>
__device__ void multiply_rows(const float* left, const float* right, int width, Scores& to) {
  for (float& score : to) score = 0;
  for (int i = 0; i < width; ++i) {
    const float x = left[own_row() * (kWidth + 1) + i];
    for (int j = 0; j < kScores; ++j) to[j] += x * right[(own_lane() + j * kLanes) * (kWidth + 1) + i];
  }
}

/// sum += the own row's weights times `rows`, in the order of these; a warp's weights are its own threads'.
template <int kWidth>
__device__ void add_rows(const Scores& own, float* weights, const float* rows, Sums<kWidth>& sum) {
  float* row = weights + own_row() * (kTile + 1);
  __syncwarp();
  for (int j = 0; j < kScores; ++j) row[own_lane() + j * kLanes] = own[j];
  __syncwarp();
  for (int i = 0; i < kTile; ++i) {
    for (int c = 0; c < kWidth / kLanes; ++c) sum[c] += row[i] * rows[i * (kWidth + 1) + own_lane() + c * kLanes];
  }
}

template <int kWidth, class Number>
__device__ void store_row(const Sums<kWidth>& sum, float factor, int width, Number* to) {
  for (int c = 0; c < kWidth / kLanes; ++c) {
    const int column = own_lane() + c * kLanes;
    if (column < width) set(to[column], sum[c] * factor);
  }
}

__device__ inline float most_of_row(float x) {
  for (int step = kLanes / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, step));
  return x;
}
__device__ inline float sum_of_row(float x) {
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
  return x;
}

/// One row's running softmax: scores become powers of two under the new most score, to which the sums are scaled.
template <int kWidth>
__device__ void soften(Scores& scores, float& most, float& sum, Sums<kWidth>& out) {
  float top = most;
  for (const float score : scores) top = fmaxf(top, score);
  top = most_of_row(top);
  const float fewer = exp2f(most - top);
  most = top;
  sum *= fewer;
  for (float& score : scores) sum += score = exp2f(score - top);
  for (float& x : out) x *= fewer;
}

template <int kWidth, class Number>
__global__ void __launch_bounds__(kThreads) forward_kernel(AttentionCall<Number> call, int tiles) {
  const AttentionPlace place = place_of<true>(call, tiles, kTile);
  if (place.first >= place.length) return;
  auto* q = reinterpret_cast<float*>(dynamic_shared());
  float *k = q + kElements<kWidth>, *v = k + kElements<kWidth>, *weights = v + kElements<kWidth>;
  const std::int64_t begin = place.elements(call), stride = call.stride();
  const int query = place.first + own_row();
  float most = -INFINITY, sum = 0;
  Sums<kWidth> out = {};
  load_tile<kWidth>(call.q + begin + place.first * stride, stride, place.length - place.first, call.width, q);
  for (int first = 0; first <= place.first; first += kTile) {
    __syncthreads();
    load_tile<kWidth>(call.k + begin + first * stride, stride, place.length - first, call.width, k);
    load_tile<kWidth>(call.v + begin + first * stride, stride, place.length - first, call.width, v);
    __syncthreads();
    Scores scores;
    multiply_rows<kWidth>(q, k, call.width, scores);
    for (int j = 0; j < kScores; ++j) {
      const bool hidden = first + own_lane() + j * kLanes > query;
      scores[j] = hidden ? -INFINITY : scores[j] * call.binary_scale;
    }
    soften<kWidth>(scores, most, sum, out);
    add_rows<kWidth>(scores, weights, v, out);
  }
  sum = sum_of_row(sum);
  if (query >= place.length) return;
  store_row<kWidth>(out, 1.0F / sum, call.width, call.out + begin + query * stride);
  if (own_lane() == 0) call.saved[place.numbers(call) + query] = most + log2f(sum);
}

/// Rows are keys, and the tiles that they meet are of queries.
template <int kWidth, class Number>
__global__ void __launch_bounds__(kThreads) key_kernel(AttentionCall<Number> call, int tiles) {
  const AttentionPlace place = place_of<false>(call, tiles, kTile);
  if (place.first >= place.length) return;
  auto* k = reinterpret_cast<float*>(dynamic_shared());
  float *v = k + kElements<kWidth>, *q = v + kElements<kWidth>, *dout = q + kElements<kWidth>;
  float* weights = dout + kElements<kWidth>;
  const std::int64_t begin = place.elements(call), stride = call.stride(), numbers = place.numbers(call);
  const int key = place.first + own_row();
  Sums<kWidth> dk = {}, dv = {};
  load_tile<kWidth>(call.k + begin + place.first * stride, stride, place.length - place.first, call.width, k);
  load_tile<kWidth>(call.v + begin + place.first * stride, stride, place.length - place.first, call.width, v);
  for (int first = place.first; first < place.length; first += kTile) {
    __syncthreads();
    load_tile<kWidth>(call.q + begin + first * stride, stride, place.length - first, call.width, q);
    load_tile<kWidth>(call.dout + begin + first * stride, stride, place.length - first, call.width, dout);
    __syncthreads();
    Scores p, gradient;
    multiply_rows<kWidth>(k, q, call.width, p);
    multiply_rows<kWidth>(v, dout, call.width, gradient);
    for (int j = 0; j < kScores; ++j) {
      const int query = first + own_lane() + j * kLanes;
      const bool sees = query >= key && query < place.length;
      p[j] = sees ? exp2f(p[j] * call.binary_scale - call.saved[numbers + query]) : 0.0F;
      gradient[j] = sees ? p[j] * (gradient[j] - call.row_sums[numbers + query]) : 0.0F;
    }
    add_rows<kWidth>(p, weights, dout, dv);
    add_rows<kWidth>(gradient, weights, q, dk);
  }
  if (key >= place.length) return;
  store_row<kWidth>(dk, call.scale, call.width, call.dk + begin + key * stride);
  store_row<kWidth>(dv, 1.0F, call.width, call.dv + begin + key * stride);
}

template <int kWidth, class Number>
__global__ void __launch_bounds__(kThreads) query_kernel(AttentionCall<Number> call, int tiles) {
  const AttentionPlace place = place_of<true>(call, tiles, kTile);
  if (place.first >= place.length) return;
  auto* q = reinterpret_cast<float*>(dynamic_shared());
  float *dout = q + kElements<kWidth>, *k = dout + kElements<kWidth>, *v = k + kElements<kWidth>;
  float* weights = v + kElements<kWidth>;
  const std::int64_t begin = place.elements(call), stride = call.stride(), numbers = place.numbers(call);
  const int query = place.first + own_row();
  const float logarithm = query < place.length ? call.saved[numbers + query] : 0.0F;
  const float row_sum = query < place.length ? call.row_sums[numbers + query] : 0.0F;
  Sums<kWidth> dq = {};
  load_tile<kWidth>(call.q + begin + place.first * stride, stride, place.length - place.first, call.width, q);
  load_tile<kWidth>(call.dout + begin + place.first * stride, stride, place.length - place.first, call.width, dout);
  for (int first = 0; first <= place.first; first += kTile) {
    __syncthreads();
    load_tile<kWidth>(call.k + begin + first * stride, stride, place.length - first, call.width, k);
    load_tile<kWidth>(call.v + begin + first * stride, stride, place.length - first, call.width, v);
    __syncthreads();
    Scores p, gradient;
    multiply_rows<kWidth>(q, k, call.width, p);
    multiply_rows<kWidth>(dout, v, call.width, gradient);
    for (int j = 0; j < kScores; ++j) {
      const bool hidden = first + own_lane() + j * kLanes > query;
      const float power = exp2f(p[j] * call.binary_scale - logarithm);
      gradient[j] = hidden ? 0.0F : power * (gradient[j] - row_sum);
    }
    add_rows<kWidth>(gradient, weights, k, dq);
  }
  if (query < place.length) store_row<kWidth>(dq, call.scale, call.width, call.dq + begin + query * stride);
}

template <int kWidth>
constexpr std::size_t bytes_of(int matrices) {
  return static_cast<std::size_t>(matrices * kElements<kWidth> + kWeights) * sizeof(float);
}

}  // namespace

template <class Number>
void attention_plain(const AttentionCall<Number>& call, const Stream& stream) {
  with_width(call.width, [&](auto width) {
    launch_tiles("attention", forward_kernel<width, Number>, call, kTile, kThreads, bytes_of<width>(3), stream);
  });
}

template <class Number>
void attention_backward_plain(const AttentionCall<Number>& call, const Stream& stream) {
  with_width(call.width, [&](auto width) {
    launch_tiles("attention_backward", key_kernel<width, Number>, call, kTile, kThreads, bytes_of<width>(4), stream);
    launch_tiles("attention_backward", query_kernel<width, Number>, call, kTile, kThreads, bytes_of<width>(4), stream);
  });
}

template void attention_plain(const AttentionCall<float>&, const Stream&);
template void attention_plain(const AttentionCall<__nv_bfloat16>&, const Stream&);
template void attention_backward_plain(const AttentionCall<float>&, const Stream&);
template void attention_backward_plain(const AttentionCall<__nv_bfloat16>&, const Stream&);

}  // namespace coe::cuda
