#include "kernels/memory/launch.cuh"
#include "kernels/routing/segments.h"

namespace coe::cuda {
namespace {

constexpr int kThreads = 128, kPlaceThreads = 256;
/// Blocks that share a segment's rows.
constexpr int kBlocksPerSegment = 32;
constexpr std::int64_t kMostSources = 8192;
constexpr int kNumbers = 3;

struct Held {
  const std::int32_t *table, *row_offsets, *bucket;
  std::int32_t sources, buckets, held, block;

  __device__ std::int32_t rows(std::int32_t source, std::int32_t local) const {
    return table[source * buckets + bucket[local]];
  }
};

/// One block; a thread takes the sources, then the segments, threadIdx.x, threadIdx.x + kPlaceThreads, ...
__global__ void place_kernel(Held held, const std::int32_t* first, std::int32_t holder, std::int32_t* segments) {
  __shared__ std::int32_t from_source[kMostSources];
  held.bucket += first[holder];
  for (auto s = static_cast<std::int32_t>(threadIdx.x); s < held.sources; s += kPlaceThreads) {
    std::int32_t sum = 0;
    for (std::int32_t local = 0; local < held.held; ++local) sum += held.rows(s, local);
    from_source[s] = sum;
  }
  __syncthreads();
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < held.held * held.sources; i += kPlaceThreads) {
    const std::int32_t local = i / held.sources, source = i % held.sources;
    std::int32_t arrived = source * held.block, by_bucket = held.row_offsets[local];
    for (std::int32_t s = 0; s < source; ++s) {
      if (held.block == 0) arrived += from_source[s];
      by_bucket += held.rows(s, local);
    }
    for (std::int32_t before = 0; before < local; ++before) arrived += held.rows(source, before);
    segments[i * kNumbers] = arrived;
    segments[i * kNumbers + 1] = by_bucket;
    segments[i * kNumbers + 2] = held.rows(source, local);
  }
}

/// A block for each rank: a thread for what it is sent, another for what comes from it.
__global__ void size_kernel(const std::int32_t* table, const std::int32_t* first, const std::int32_t* bucket,
                            std::int32_t buckets, std::int32_t source, std::int32_t* sizes) {
  const auto rank = static_cast<std::int32_t>(blockIdx.x);
  const bool sends = threadIdx.x == 0;
  const std::int32_t holder = sends ? rank : source, sender = sends ? source : rank;
  std::int32_t sum = 0;
  for (std::int32_t at = first[holder]; at < first[holder + 1]; ++at) sum += table[sender * buckets + bucket[at]];
  sizes[rank * 2 + static_cast<std::int32_t>(threadIdx.x)] = sum;
}

/// `from` and `to` are the numbers of a segment that say where it begins here and there.
struct Ways {
  const std::int32_t* segments;
  int from, to;
};

template <class Number, int kWidth>
__global__ void move_kernel(Ways ways, const Number* x, const float* scalar, std::int64_t width, Number* y,
                            float* scalar_out) {
  using Numbers = Pack<Number, kWidth>;
  const std::int32_t* segment = ways.segments + blockIdx.x / kBlocksPerSegment * kNumbers;
  const std::int64_t from = segment[ways.from], to = segment[ways.to], count = segment[kNumbers - 1];
  for (std::int64_t row = blockIdx.x % kBlocksPerSegment; row < count; row += kBlocksPerSegment) {
    const Number* source = x + (from + row) * width;
    Number* target = y + (to + row) * width;
    for (std::int64_t i = static_cast<std::int64_t>(threadIdx.x) * kWidth; i < width; i += blockDim.x * kWidth) {
      *reinterpret_cast<Numbers*>(target + i) = *reinterpret_cast<const Numbers*>(source + i);
    }
    if (threadIdx.x == 0 && scalar != nullptr) scalar_out[to + row] = scalar[from + row];
  }
}

void move(const char* what, const Tensor& segments, bool gathers, const SegmentRows& from, const SegmentRows& to,
          const Stream& stream) {
  expect_rank(what, segments, 3);
  expect_rank(what, from.rows, 2);
  expect_same_dtype(what, from.rows, to.rows);
  const std::int64_t width = from.rows.extent(1), count = segments.extent(0) * segments.extent(1);
  const Ways ways{segments.data<std::int32_t>(), gathers ? 0 : 1, gathers ? 1 : 0};
  with_number(what, from.rows, [&](auto number) {
    using Number = decltype(number);
    const auto run = [&](auto kernel) {
      launch(what, kernel, {count * kBlocksPerSegment, kThreads}, stream, ways, pointer<Number>(from.rows),
             pointer_or_null<float>(from.scalar), width, pointer<Number>(to.rows), pointer_or_null<float>(to.scalar));
    };
    if (packs<Number>(width, {from.rows.raw(), to.rows.raw()})) return run(move_kernel<Number, kWide<Number>>);
    run(move_kernel<Number, 1>);
  });
}

}  // namespace

void place_segments(const Tensor& table, const Holders& holders, int holder, std::int64_t block,
                    const Tensor& row_offsets, const Tensor& segments, const Stream& stream) {
  expect_rank("place_segments: table", table, 2);
  const std::int64_t sources = table.extent(0), held = row_offsets.elements() - 1;
  if (sources > kMostSources) {
    fail(ErrorCode::kBadInput, "place_segments: there are ", sources, " sources, at most ", kMostSources);
  }
  expect_shape("place_segments: first", holders.first, {sources + 1});
  expect_shape("place_segments: bucket", holders.bucket, {table.extent(1)});
  expect_shape("place_segments: segments", segments, {held, sources, kNumbers});
  const Held seen{table.data<std::int32_t>(),
                  row_offsets.data<std::int32_t>(),
                  holders.bucket.data<std::int32_t>(),
                  static_cast<std::int32_t>(sources),
                  static_cast<std::int32_t>(table.extent(1)),
                  static_cast<std::int32_t>(held),
                  static_cast<std::int32_t>(block)};
  launch("place_segments", place_kernel, {1, kPlaceThreads}, stream, seen, holders.first.data<std::int32_t>(), holder,
         segments.data<std::int32_t>());
}

void size_messages(const Tensor& table, const Holders& holders, int source, const Tensor& sizes, const Stream& stream) {
  expect_rank("size_messages: table", table, 2);
  expect_shape("size_messages: first", holders.first, {table.extent(0) + 1});
  expect_shape("size_messages: bucket", holders.bucket, {table.extent(1)});
  expect_shape("size_messages: sizes", sizes, {table.extent(0), 2});
  launch("size_messages", size_kernel, {table.extent(0), 2}, stream, table.data<std::int32_t>(),
         holders.first.data<std::int32_t>(), holders.bucket.data<std::int32_t>(), table.extent(1), source,
         sizes.data<std::int32_t>());
}

void gather_segments(const Tensor& segments, const SegmentRows& arrived, const SegmentRows& by_bucket,
                     const Stream& stream) {
  move("gather_segments", segments, true, arrived, by_bucket, stream);
}

void scatter_segments(const Tensor& segments, const SegmentRows& by_bucket, const SegmentRows& arrived,
                      const Stream& stream) {
  move("scatter_segments", segments, false, by_bucket, arrived, stream);
}

}  // namespace coe::cuda
