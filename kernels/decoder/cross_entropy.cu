#include "kernels/decoder/cross_entropy.h"
#include "kernels/memory/packs.cuh"

namespace coe::cuda {
namespace {

/// Rows of at most kWarpVocab logits take a warp each, longer ones a block.
constexpr std::int64_t kWarpVocab = 1024;
constexpr int kThreads = 256, kMostThreads = 512;
/// Logits that a thread reads at once.
constexpr int kBatch = 8;

/// The threads that share a row.
template <bool kIsWarp>
struct Crew {
  __device__ static unsigned rank() { return kIsWarp ? threadIdx.x % kWarp : threadIdx.x; }
  __device__ static unsigned size() { return kIsWarp ? kWarp : blockDim.x; }
  __device__ static std::int64_t first_row() {
    return kIsWarp ? blockIdx.x * warps() + threadIdx.x / kWarp : blockIdx.x;
  }
  __device__ static std::int64_t row_step() { return kIsWarp ? gridDim.x * warps() : gridDim.x; }
  /// What one wrote before, the others read after.
  __device__ static void meet() {
    if constexpr (kIsWarp) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  }
  __device__ static float sum(float x, float* lanes) {
    if constexpr (kIsWarp) return warp_sum(x);
    return block_sum(x, lanes);
  }
  __device__ static float largest(float x, float* lanes) {
    for (int step = kWarp / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, step));
    if constexpr (kIsWarp) return x;
    __syncthreads();
    if (threadIdx.x % kWarp == 0) lanes[threadIdx.x / kWarp] = x;
    __syncthreads();
    for (unsigned warp = 0; warp < warps(); ++warp) x = fmaxf(x, lanes[warp]);
    return x;
  }

 private:
  __device__ static unsigned warps() { return blockDim.x / kWarp; }
};

/// What exponents are taken from: the largest logit, unless all are -infinity.
__device__ float pivot_of(float largest) { return largest == -INFINITY ? 0.0F : largest; }

template <int kPack>
__device__ void read_batch(const float* row, std::int64_t vocab, std::int64_t first, std::int64_t step,
                           float (&x)[kBatch]) {
#pragma unroll
  for (int turn = 0; turn < kBatch / kPack; ++turn) {
    const std::int64_t i = first + turn * step;
    float pack[kPack];
    for (float& value : pack) value = -INFINITY;
    if (i < vocab) read_floats(row + i, pack);
    for (int lane = 0; lane < kPack; ++lane) x[turn * kPack + lane] = pack[lane];
  }
}

struct Peak {
  float pivot, sum;  ///< The sum of e^(x - pivot).
};

/// One pass over a row's logits.
template <bool kIsWarp, int kPack>
__device__ Peak peak_of(const float* row, std::int64_t vocab, float* lanes) {
  using Threads = Crew<kIsWarp>;
  const std::int64_t step = static_cast<std::int64_t>(Threads::size()) * kPack;
  float largest = -INFINITY, sum = 0;
  for (std::int64_t first = Threads::rank() * kPack; first < vocab; first += step * (kBatch / kPack)) {
    float x[kBatch];
    read_batch<kPack>(row, vocab, first, step, x);
    float next = largest;
    for (const float value : x) next = fmaxf(next, value);
    const float pivot = pivot_of(next);
    sum *= expf(largest - pivot);
    for (const float value : x) sum += expf(value - pivot);
    largest = next;
  }
  const float pivot = pivot_of(Threads::largest(largest, lanes));
  return {pivot, Threads::sum(sum * expf(largest - pivot), lanes)};
}

template <bool kIsWarp, int kPack>
__global__ void __launch_bounds__(kMostThreads) forward_kernel(const float* logits, const std::int32_t* labels,
                                                               std::int64_t rows, std::int64_t vocab, double* losses) {
  using Threads = Crew<kIsWarp>;
  __shared__ float lanes[kWarp];
  for (std::int64_t row = Threads::first_row(); row < rows; row += Threads::row_step()) {
    const float* from = logits + row * vocab;
    const std::int32_t label = labels[row];
    double loss = 0;
    if (label >= 0) {
      const Peak peak = peak_of<kIsWarp, kPack>(from, vocab, lanes);
      loss = static_cast<double>(peak.pivot) + log(static_cast<double>(peak.sum)) - from[label];
    }
    if (Threads::rank() == 0) losses[row] = loss;
  }
}

/// Goes back through a row, of which the end was read last; dlogits may be logits.
template <bool kIsWarp, int kPack, class Number>
__device__ void write_gradient(const float* from, std::int64_t vocab, std::int32_t label, float scale, Peak peak,
                               Number* to) {
  using Threads = Crew<kIsWarp>;
  const std::int64_t step = static_cast<std::int64_t>(Threads::size()) * kPack, batch = step * (kBatch / kPack);
  const float inverse = 1.0F / peak.sum;
  for (std::int64_t begin = (vocab - 1) / batch * batch; begin >= 0; begin -= batch) {
    const std::int64_t first = begin + Threads::rank() * kPack;
    float x[kBatch] = {};
    if (label >= 0) read_batch<kPack>(from, vocab, first, step, x);
#pragma unroll
    for (int turn = 0; turn < kBatch / kPack; ++turn) {
      const std::int64_t i = first + turn * step;
      if (i >= vocab) break;
      float gradient[kPack] = {};
      for (int lane = 0; label >= 0 && lane < kPack; ++lane) {
        const float softmax = expf(x[turn * kPack + lane] - peak.pivot) * inverse;
        gradient[lane] = (softmax - (i + lane == label ? 1.0F : 0.0F)) * scale;
      }
      write_floats(to + i, gradient);
    }
  }
}

template <bool kIsWarp, int kPack, class Number>
__global__ void __launch_bounds__(kMostThreads)
    backward_kernel(const float* logits, const std::int32_t* labels, float scale, std::int64_t rows, std::int64_t vocab,
                    Number* dlogits, double* losses) {
  using Threads = Crew<kIsWarp>;
  __shared__ float lanes[kWarp];
  for (std::int64_t row = Threads::first_row(); row < rows; row += Threads::row_step()) {
    const float* from = logits + row * vocab;
    const std::int32_t label = labels[row];
    Peak peak{0, 1};
    double loss = 0;
    if (label >= 0) {
      peak = peak_of<kIsWarp, kPack>(from, vocab, lanes);
      loss = static_cast<double>(peak.pivot) + log(static_cast<double>(peak.sum)) - from[label];
    }
    if (Threads::rank() == 0) losses[row] = loss;
    Threads::meet();
    write_gradient<kIsWarp, kPack>(from, vocab, label, scale, peak, dlogits + row * vocab);
  }
}

/// One block.
__global__ void add_losses_kernel(const double* losses, std::int64_t rows, double* loss) {
  __shared__ double lanes[kWarp];
  double sum = 0;
#pragma unroll 8
  for (std::int64_t row = threadIdx.x; row < rows; row += kMostThreads) sum += losses[row];
  sum = block_sum(sum, lanes);
  if (threadIdx.x == 0) *loss += sum;
}

void expect_fits(const Tensor& logits, const Tensor& labels, const Tensor& loss, const Tensor& losses) {
  expect_rank("cross_entropy: logits", logits, 2);
  expect_shape("cross_entropy: labels", labels, {logits.extent(0)});
  expect_shape("cross_entropy: loss", loss, {1});
  expect_shape("cross_entropy: losses", losses, {logits.extent(0)});
}

Extent extent_of(std::int64_t rows, std::int64_t vocab) {
  if (vocab <= kWarpVocab) return {blocks_for(rows, kThreads / kWarp), kThreads};
  return {blocks_for(rows, 1), threads_for(vocab / kBatch, kMostThreads)};
}

template <bool kIsWarp, int kPack>
struct Way {
  static constexpr bool kWarpRows = kIsWarp;
  static constexpr int kNumbers = kPack;
};

/// Calls visit(Way) with how rows are read.
template <class Visit>
void with_way(std::int64_t vocab, bool packed, const Visit& visit) {
  if (vocab <= kWarpVocab) return packed ? visit(Way<true, 4>{}) : visit(Way<true, 1>{});
  packed ? visit(Way<false, 4>{}) : visit(Way<false, 1>{});
}

void add_losses(const Tensor& losses, const Tensor& loss, const Stream& stream) {
  launch("cross_entropy", add_losses_kernel, {1, kMostThreads}, stream, losses.data<double>(), losses.elements(),
         loss.data<double>());
}

}  // namespace

void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss, const Tensor& losses,
                   const Stream& stream) {
  expect_fits(logits, labels, loss, losses);
  const std::int64_t rows = logits.extent(0), vocab = logits.extent(1);
  if (rows == 0) return;
  const auto* from = logits.data<float>();
  with_way(vocab, packs<float>(vocab, {from}), [&](auto way) {
    launch("cross_entropy", forward_kernel<way.kWarpRows, way.kNumbers>, extent_of(rows, vocab), stream, from,
           labels.data<std::int32_t>(), rows, vocab, losses.data<double>());
  });
  add_losses(losses, loss, stream);
}

void cross_entropy_backward(const Tensor& logits, const Tensor& labels, float scale, const Tensor& dlogits,
                            const Tensor& loss, const Tensor& losses, const Stream& stream) {
  expect_fits(logits, labels, loss, losses);
  expect_shape("cross_entropy_backward: dlogits", dlogits, logits.shape());
  const std::int64_t rows = logits.extent(0), vocab = logits.extent(1);
  if (rows == 0) return;
  const auto* from = logits.data<float>();
  with_number("cross_entropy_backward", dlogits, [&](auto number) {
    using Number = decltype(number);
    with_way(vocab, packs<float>(vocab, {from, dlogits.raw()}), [&](auto way) {
      launch("cross_entropy_backward", backward_kernel<way.kWarpRows, way.kNumbers, Number>, extent_of(rows, vocab),
             stream, from, labels.data<std::int32_t>(), scale, rows, vocab, pointer<Number>(dlogits),
             losses.data<double>());
    });
  });
  add_losses(losses, loss, stream);
}

}  // namespace coe::cuda
