#include "kernels/memory/ordered_places.cuh"
#include "kernels/routing/buckets.h"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256, kScanThreads = 256;
constexpr std::int64_t kMostBuckets = 1024;

struct Choices {
  const std::int32_t *offsets, *bucket;
  const std::uint8_t* kept;
  std::int64_t tokens, blocks;

  /// The choices of one block's tokens.
  __device__ void range(std::int64_t block, std::int64_t& begin, std::int64_t& end) const {
    const std::int64_t each = (tokens + blocks - 1) / blocks;
    const std::int64_t first = block * each < tokens ? block * each : tokens;
    begin = offsets[first];
    end = offsets[first + each < tokens ? first + each : tokens];
  }
  __device__ std::int32_t bucket_of(std::int64_t choice) const {
    return kept != nullptr && kept[choice] == 0 ? kNoBucket : bucket[choice];
  }
};

Choices choices_of(const Tensor& offsets, const Tensor& bucket, const Tensor& kept, std::int64_t blocks) {
  if (kept.elements() > 0) expect_shape("buckets: kept", kept, bucket.shape());
  return {offsets.data<std::int32_t>(), bucket.data<std::int32_t>(), pointer_or_null<std::uint8_t>(kept),
          offsets.elements() - 1, blocks};
}

/// Reads a block's choices, kThreads at a time, into `tile`, and calls visit(first, count) for each time.
template <class Visit>
__device__ void for_each_tile(const Choices& choices, std::int32_t* tile, const Visit& visit) {
  std::int64_t begin, end;
  choices.range(blockIdx.x, begin, end);
  for (std::int64_t first = begin; first < end; first += kThreads) {
    const int count = static_cast<int>(end - first < kThreads ? end - first : kThreads);
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < count) tile[threadIdx.x] = choices.bucket_of(first + threadIdx.x);
    __syncthreads();
    visit(first, count);
  }
}

/// A thread counts the buckets threadIdx.x, threadIdx.x + kThreads, ...
__global__ void count_kernel(Choices choices, std::int32_t buckets, std::int32_t* counts) {
  __shared__ std::int32_t tile[kThreads];
  __shared__ std::int32_t sums[kMostBuckets];
  for (int n = static_cast<int>(threadIdx.x); n < buckets; n += kThreads) sums[n] = 0;
  for_each_tile(choices, tile, [&](std::int64_t, int count) {
    for (int n = static_cast<int>(threadIdx.x); n < buckets; n += kThreads) {
      std::int32_t sum = 0;
      for (int j = 0; j < count; ++j) sum += tile[j] == n ? 1 : 0;
      sums[n] += sum;
    }
  });
  std::int32_t* row = counts + static_cast<std::int64_t>(blockIdx.x) * buckets;
  for (int n = static_cast<int>(threadIdx.x); n < buckets; n += kThreads) row[n] = sums[n];
}

/// One block scans one bucket's column, kScanThreads blocks of tokens at a time.
__global__ void scan_kernel(std::int32_t* counts, std::int64_t blocks, std::int64_t buckets, std::int32_t* totals) {
  __shared__ std::int32_t warps[kScanThreads / kWarp];
  std::int32_t carry = 0;
  for (std::int64_t first = 0; first < blocks; first += kScanThreads) {
    const std::int64_t at = (first + threadIdx.x) * buckets + blockIdx.x;
    const bool inside = first + threadIdx.x < blocks;
    const std::int32_t own = inside ? counts[at] : 0;
    std::int32_t sum = warp_inclusive_sum(own);
    __syncthreads();
    if (threadIdx.x % kWarp == kWarp - 1) warps[threadIdx.x / kWarp] = sum;
    __syncthreads();
    sum += carry;
    for (unsigned warp = 0; warp < kScanThreads / kWarp; ++warp) {
      if (warp < threadIdx.x / kWarp) sum += warps[warp];
      carry += warps[warp];
    }
    if (inside) counts[at] = sum - own;
  }
  if (threadIdx.x == 0) totals[blockIdx.x] = carry;
}

__global__ void sum_kernel(const std::int32_t* table, std::int64_t sources, std::int64_t buckets,
                           std::int32_t* totals) {
  const std::int64_t n = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (n >= buckets) return;
  std::int32_t sum = 0;
  for (std::int64_t source = 0; source < sources; ++source) sum += table[source * buckets + n];
  totals[n] = sum;
}

struct Held {
  const std::int32_t *first, *bucket, *holder;
};

Held held_of(const Holders& holders, std::int64_t buckets) {
  expect_shape("buckets: bucket", holders.bucket, {buckets});
  expect_shape("buckets: holder", holders.holder, {buckets});
  return {holders.first.data<std::int32_t>(), holders.bucket.data<std::int32_t>(), holders.holder.data<std::int32_t>()};
}

struct Table {
  const std::int32_t* counts;
  Held held;
  std::int32_t sources, buckets, source, padded;
};

/// row_offsets and row_ends may be nullptr.
struct PlacesOut {
  std::int32_t *begin, *row_offsets, *row_ends;
};

struct Room {
  std::int64_t rows;
  std::int32_t *lost, *overflow;
};

/// Takes back every place.
__device__ void place_nothing(const Table& table, const PlacesOut& out, const Room& room) {
  for (std::int32_t at = static_cast<std::int32_t>(threadIdx.x); at < table.buckets; at += kThreads) {
    const std::int32_t n = table.held.bucket[at], holder = table.held.holder[n];
    out.begin[n] = -1;
    if (holder != table.source) continue;
    out.row_ends[at - table.held.first[holder]] = 0;
    out.row_offsets[at - table.held.first[holder] + 1] = 0;
  }
  if (threadIdx.x > 0) return;
  *room.lost = kNoRoom;
  *room.overflow = 1;
}

/// One block; a thread works on the buckets threadIdx.x, threadIdx.x + kThreads, ..., then on those at these places.
__global__ void place_kernel(Table table, PlacesOut out, Room room) {
  __shared__ std::int32_t rows[kMostBuckets];
  for (std::int32_t n = static_cast<std::int32_t>(threadIdx.x); n < table.buckets; n += kThreads) {
    std::int32_t all = 0;
    for (std::int32_t source = 0; source < table.sources; ++source) {
      if (source == table.source) out.begin[n] = all;
      all += table.counts[source * table.buckets + n];
    }
    rows[n] = all;
  }
  __syncthreads();
  bool fits = true;
  for (std::int32_t at = static_cast<std::int32_t>(threadIdx.x); at < table.buckets; at += kThreads) {
    const std::int32_t n = table.held.bucket[at], holder = table.held.holder[n], first = table.held.first[holder];
    const std::int32_t padded = table.padded;
    std::int32_t before = (at - first) * padded;
    for (std::int32_t other = first; padded == 0 && other < at; ++other) before += rows[table.held.bucket[other]];
    out.begin[n] += before;
    fits = fits && before + (padded == 0 ? rows[n] : padded) <= room.rows;
    if (holder != table.source || out.row_offsets == nullptr) continue;
    out.row_ends[at - first] = before + rows[n];
    out.row_offsets[at - first + 1] = before + (padded == 0 ? rows[n] : padded);
  }
  if (threadIdx.x == 0 && out.row_offsets != nullptr) out.row_offsets[0] = 0;
  if (room.overflow != nullptr && __syncthreads_count(!fits) > 0) place_nothing(table, out, room);
}

struct ScatterOut {
  std::int32_t *holder, *row;
};

__global__ void scatter_kernel(Choices choices, const std::int32_t* counts, std::int32_t buckets,
                               const std::int32_t* holder, const std::int32_t* first_row, ScatterOut out) {
  __shared__ std::int32_t next[kMostBuckets];
  for (int n = static_cast<int>(threadIdx.x); n < buckets; n += kThreads) {
    next[n] = counts[static_cast<std::int64_t>(blockIdx.x) * buckets + n];
  }
  __syncthreads();
  std::int64_t begin, end;
  choices.range(blockIdx.x, begin, end);
  for (std::int64_t first = begin; first < end; first += kThreads) {
    const std::int64_t choice = first + threadIdx.x;
    const std::int32_t bucket = choice < end ? choices.bucket_of(choice) : kNoBucket;
    const std::int32_t place = take_place<kThreads>(bucket, next);
    if (choice >= end) continue;
    const bool placed = bucket != kNoBucket && first_row[bucket] >= 0;
    out.holder[choice] = placed ? holder[bucket] : -1;
    out.row[choice] = placed ? first_row[bucket] + place : -1;
  }
}

void expect_buckets(std::int64_t buckets) {
  if (buckets > kMostBuckets) fail(ErrorCode::kBadInput, "buckets: there are ", buckets, ", at most ", kMostBuckets);
}

PlacesOut places_out(const BucketPlaces& places, std::int64_t buckets) {
  expect_shape("buckets: begin", places.begin, {buckets});
  const bool ends = places.row_offsets.elements() > 0;
  if (ends) expect_shape("buckets: row_offsets", places.row_offsets, {places.row_ends.elements() + 1});
  return {places.begin.data<std::int32_t>(), pointer_or_null<std::int32_t>(places.row_offsets),
          ends ? places.row_ends.data<std::int32_t>() : nullptr};
}

}  // namespace

void count_buckets(const Tensor& offsets, const Tensor& bucket, const Tensor& kept, const Tensor& counts,
                   const Stream& stream) {
  expect_rank("count_buckets: counts", counts, 2);
  expect_buckets(counts.extent(1));
  launch("count_buckets", count_kernel, {counts.extent(0), kThreads}, stream,
         choices_of(offsets, bucket, kept, counts.extent(0)), counts.extent(1), counts.data<std::int32_t>());
}

void scan_buckets(const Tensor& counts, const Tensor& totals, const Stream& stream) {
  expect_rank("scan_buckets: counts", counts, 2);
  expect_shape("scan_buckets: totals", totals, {counts.extent(1)});
  launch("scan_buckets", scan_kernel, {counts.extent(1), kScanThreads}, stream, counts.data<std::int32_t>(),
         counts.extent(0), counts.extent(1), totals.data<std::int32_t>());
}

void sum_sources(const Tensor& table, const Tensor& totals, const Stream& stream) {
  expect_rank("sum_sources: table", table, 2);
  expect_shape("sum_sources: totals", totals, {table.extent(1)});
  launch("sum_sources", sum_kernel, {(table.extent(1) + kThreads - 1) / kThreads, kThreads}, stream,
         table.data<std::int32_t>(), table.extent(0), table.extent(1), totals.data<std::int32_t>());
}

void place_buckets(const Tensor& table, const Holders& holders, int source, std::int64_t padded,
                   const BucketPlaces& places, const Stream& stream, const HolderRoom& room) {
  expect_rank("place_buckets: table", table, 2);
  expect_buckets(table.extent(1));
  const bool receives = places.row_offsets.elements() > 0;
  if (receives) expect_shape("place_buckets: first", holders.first, {table.extent(0) + 1});
  const Table seen{table.data<std::int32_t>(),
                   held_of(holders, table.extent(1)),
                   static_cast<std::int32_t>(table.extent(0)),
                   static_cast<std::int32_t>(table.extent(1)),
                   source,
                   static_cast<std::int32_t>(padded)};
  launch("place_buckets", place_kernel, {1, kThreads}, stream, seen, places_out(places, table.extent(1)),
         Room{room.rows, pointer_or_null<std::int32_t>(room.lost), pointer_or_null<std::int32_t>(room.overflow)});
}

void scatter_buckets(const Tensor& bucket, const Tensor& kept, const Tensor& counts, const Holders& holders,
                     const BucketPlaces& places, const RowPlaces& rows, const Stream& stream) {
  expect_rank("scatter_buckets: counts", counts, 2);
  expect_buckets(counts.extent(1));
  expect_shape("scatter_buckets: holder", rows.holder, bucket.shape());
  expect_shape("scatter_buckets: row", rows.row, bucket.shape());
  expect_shape("scatter_buckets: begin", places.begin, {counts.extent(1)});
  launch("scatter_buckets", scatter_kernel, {counts.extent(0), kThreads}, stream,
         choices_of(rows.offsets, bucket, kept, counts.extent(0)), counts.data<std::int32_t>(),
         static_cast<std::int32_t>(counts.extent(1)), held_of(holders, counts.extent(1)).holder,
         places.begin.data<std::int32_t>(),
         ScatterOut{rows.holder.data<std::int32_t>(), rows.row.data<std::int32_t>()});
}

}  // namespace coe::cuda
