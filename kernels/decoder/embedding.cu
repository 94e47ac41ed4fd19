#include "kernels/decoder/embedding.h"
#include "kernels/memory/ordered_places.cuh"
#include "kernels/memory/packs.cuh"

namespace coe::cuda {
namespace {

/// Positions are sorted by id, one digit of kDigitBits after the other, by kThreads threads a block.
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits, kThreads = kDigits;
constexpr std::int64_t kMostSortBlocks = 128;
/// Neighbours among the sorted positions that one block sums, and of those how many it reads at once.
constexpr int kChunk = 64, kBatch = 4;

std::int64_t chunks_of(std::int64_t positions) { return (positions + kChunk - 1) / kChunk; }

template <class Number, int kWidth>
__global__ void gather_kernel(const std::int32_t* ids, const Number* table, std::int64_t rows, std::int64_t width,
                              Number* x) {
  using Numbers = Pack<Number, kWidth>;
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const Number* from = table + ids[row] * width;
    for (std::int64_t i = static_cast<std::int64_t>(threadIdx.x) * kWidth; i < width; i += blockDim.x * kWidth) {
      *reinterpret_cast<Numbers*>(x + row * width + i) = *reinterpret_cast<const Numbers*>(from + i);
    }
  }
}

/// Ids and where they stand; `position` is nullptr where they stand in order.
struct Positions {
  std::int32_t *id, *position;
};

__device__ std::int32_t digit_of(std::int32_t id, int shift) {
  return static_cast<std::int32_t>((static_cast<std::uint32_t>(id) >> shift) % kDigits);
}

/// The positions of one block, a multiple of kThreads but for the last.
struct Share {
  std::int64_t begin, end;
};
__device__ Share share_of_block(std::int64_t count) {
  const std::int64_t tiles = (count + kThreads - 1) / kThreads, each = (tiles + gridDim.x - 1) / gridDim.x * kThreads;
  const std::int64_t begin = blockIdx.x * each;
  return {begin < count ? begin : count, begin + each < count ? begin + each : count};
}

__global__ void count_kernel(const std::int32_t* ids, std::int64_t count, int shift, std::int32_t* counts) {
  __shared__ std::int32_t sums[kDigits];
  sums[threadIdx.x] = 0;
  __syncthreads();
  const Share share = share_of_block(count);
  for (std::int64_t i = share.begin + threadIdx.x; i < share.end; i += kThreads) {
    atomicAdd(&sums[digit_of(ids[i], shift)], 1);
  }
  __syncthreads();
  counts[blockIdx.x * kDigits + threadIdx.x] = sums[threadIdx.x];
}

/// Where the block's first position of the digit threadIdx.x goes: after all of lower digits, and after those of this
/// digit in blocks before.
__device__ std::int32_t first_place(const std::int32_t* counts) {
  __shared__ std::int32_t warps[kThreads / kWarp];
  std::int32_t before = 0, all = 0;
#pragma unroll 8
  for (unsigned block = 0; block < gridDim.x; ++block) {
    const std::int32_t count = counts[block * kDigits + threadIdx.x];
    before += block < blockIdx.x ? count : 0;
    all += count;
  }
  const std::int32_t sum = warp_inclusive_sum(all);
  if (threadIdx.x % kWarp == kWarp - 1) warps[threadIdx.x / kWarp] = sum;
  __syncthreads();
  std::int32_t place = before + sum - all;
  for (unsigned warp = 0; warp < threadIdx.x / kWarp; ++warp) place += warps[warp];
  return place;
}

__global__ void scatter_kernel(Positions from, std::int64_t count, int shift, const std::int32_t* counts,
                               Positions to) {
  __shared__ std::int32_t next[kDigits];
  next[threadIdx.x] = first_place(counts);
  __syncthreads();
  const Share share = share_of_block(count);
  for (std::int64_t first = share.begin; first < share.end; first += kThreads) {
    const std::int64_t i = first + threadIdx.x;
    const bool inside = i < share.end;
    const std::int32_t id = inside ? from.id[i] : 0;
    const std::int32_t place = take_place<kThreads>(inside ? digit_of(id, shift) : kNoBucket, next);
    if (!inside) continue;
    to.id[place] = id;
    to.position[place] = from.position == nullptr ? static_cast<std::int32_t>(i) : from.position[i];
  }
}

/// Where sums go. An id whose positions lie in one chunk is added to the table there. Of one that goes on, every chunk
/// leaves its part: in row 0 of the chunk's two where the id began in a chunk before, in row 1 where it begins.
struct Sums {
  float *dtable, *partial;
  std::int64_t width;
};

/// The ids of a chunk, sorted.
struct Chunk {
  std::int64_t index;
  const std::int32_t* ids;
  int count;
  bool from_before, goes_on;

  /// Whether the id at j ends there, as far as the chunk knows.
  __device__ bool closes(int j) const { return j + 1 == count || ids[j] != ids[j + 1]; }
  __device__ bool began_before(int j) const { return from_before && ids[j] == ids[0]; }
  __device__ bool whole(int j) const { return !began_before(j) && !(goes_on && ids[j] == ids[count - 1]); }
  __device__ float* target(const Sums& sums, int j) const {
    if (whole(j)) return sums.dtable + ids[j] * sums.width;
    return sums.partial + (2 * index + (began_before(j) ? 0 : 1)) * sums.width;
  }
};

/// A block sums a slab of a chunk's columns, a pack a thread.
template <class Number, int kWidth>
__global__ void sum_kernel(Positions sorted, std::int64_t count, const Number* dx, unsigned slabs, Sums sums) {
  __shared__ std::int32_t ids[kChunk], positions[kChunk];
  const std::int64_t index = blockIdx.x / slabs, begin = index * kChunk;
  const int inside = static_cast<int>(count - begin < kChunk ? count - begin : kChunk);
  for (int j = static_cast<int>(threadIdx.x); j < inside; j += static_cast<int>(blockDim.x)) {
    ids[j] = sorted.id[begin + j];
    positions[j] = sorted.position[begin + j];
  }
  __syncthreads();
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.x % slabs) * blockDim.x + threadIdx.x) * kWidth;
  if (i >= sums.width) return;
  const Chunk chunk{index, ids, inside, begin > 0 && sorted.id[begin - 1] == ids[0],
                    begin + inside < count && sorted.id[begin + inside] == ids[inside - 1]};
  float sum[kWidth] = {};
  for (int first = 0; first < inside; first += kBatch) {
    // All of a batch's reads before the first of its sums, the table's as well.
    Pack<Number, kWidth> numbers[kBatch];
    float before[kBatch][kWidth] = {};
#pragma unroll
    for (int turn = 0; turn < kBatch; ++turn) {
      const int j = first + turn;
      if (j >= inside) break;
      numbers[turn] = *reinterpret_cast<const Pack<Number, kWidth>*>(dx + positions[j] * sums.width + i);
      if (chunk.closes(j) && chunk.whole(j)) read_floats(chunk.target(sums, j) + i, before[turn]);
    }
#pragma unroll
    for (int turn = 0; turn < kBatch; ++turn) {
      const int j = first + turn;
      if (j >= inside) break;
      for (int lane = 0; lane < kWidth; ++lane) sum[lane] += to_number(numbers[turn].values[lane]);
      if (!chunk.closes(j)) continue;
      for (int lane = 0; lane < kWidth; ++lane) before[turn][lane] += sum[lane];
      write_floats(chunk.target(sums, j) + i, before[turn]);
      for (int lane = 0; lane < kWidth; ++lane) sum[lane] = 0;
    }
  }
}

/// A block adds the parts of the id that begins in its chunk and goes on, if there is one, in the order of the chunks.
template <int kWidth>
__global__ void add_parts_kernel(const std::int32_t* ids, std::int64_t count, unsigned slabs, Sums sums) {
  const std::int64_t chunk = blockIdx.x / slabs, begin = chunk * kChunk, end = begin + kChunk;
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.x % slabs) * blockDim.x + threadIdx.x) * kWidth;
  if (end >= count || i >= sums.width) return;
  const std::int32_t id = ids[end - 1];
  if (ids[end] != id || (begin > 0 && ids[begin - 1] == id)) return;
  // Chunk `last` is the last that begins with the id.
  std::int64_t last = chunk + 1, past = (count + kChunk - 1) / kChunk;
  while (past - last > 1) {
    const std::int64_t middle = (last + past) / 2;
    (ids[middle * kChunk] == id ? last : past) = middle;
  }
  float sum[kWidth], part[kWidth];
  read_floats(sums.partial + (2 * chunk + 1) * sums.width + i, sum);
#pragma unroll 8
  for (std::int64_t next = chunk + 1; next <= last; ++next) {
    read_floats(sums.partial + 2 * next * sums.width + i, part);
    for (int lane = 0; lane < kWidth; ++lane) sum[lane] += part[lane];
  }
  float* to = sums.dtable + id * sums.width + i;
  read_floats(to, part);
  for (int lane = 0; lane < kWidth; ++lane) part[lane] += sum[lane];
  write_floats(to, part);
}

/// Pieces of the workspace: two lists of ids and positions, the counts of a pass, the parts of sums.
struct Workspace {
  Positions lists[2];
  std::int32_t* counts;
  float* partial;
};

constexpr std::int64_t kCounts = kMostSortBlocks * kDigits;
std::int64_t padded(std::int64_t positions) { return (positions + 3) / 4 * 4; }

Workspace pieces_of(const Tensor& workspace, std::int64_t positions) {
  auto* numbers = pointer<std::int32_t>(workspace);
  const std::int64_t each = padded(positions);
  return {{{numbers, numbers + each}, {numbers + 2 * each, numbers + 3 * each}},
          numbers + 4 * each,
          reinterpret_cast<float*>(numbers + 4 * each + kCounts)};
}

/// Sorts by ids below `ids_end`, stable.
Positions sort(const Tensor& ids, std::int64_t ids_end, const Workspace& space, const Stream& stream) {
  const std::int64_t count = ids.extent(0), tiles = (count + kThreads - 1) / kThreads;
  const Extent extent{std::min(tiles, kMostSortBlocks), kThreads};
  Positions from{ids.data<std::int32_t>(), nullptr};
  int list = 0;
  for (int shift = 0; shift == 0 || (ids_end - 1) >> shift > 0; shift += kDigitBits) {
    const Positions to = space.lists[list];
    launch("embedding_backward", count_kernel, extent, stream, from.id, count, shift, space.counts);
    launch("embedding_backward", scatter_kernel, extent, stream, from, count, shift, space.counts, to);
    from = to;
    list = 1 - list;
  }
  return from;
}

void expect_fits(const Tensor& ids, const Tensor& table, const Tensor& x) {
  expect_rank("embedding: ids", ids, 1);
  expect_rank("embedding: table", table, 2);
  expect_shape("embedding: x", x, {ids.extent(0), table.extent(1)});
}

}  // namespace

std::int64_t embedding_workspace_bytes(std::int64_t positions, std::int64_t width) {
  return 4 * (4 * padded(positions) + kCounts + 2 * chunks_of(positions) * width);
}

void embedding(const Tensor& ids, const Tensor& table, const Tensor& x, const Stream& stream) {
  expect_fits(ids, table, x);
  expect_same_dtype("embedding", table, x);
  const std::int64_t rows = x.extent(0), width = x.extent(1);
  with_number("embedding", x, [&](auto number) {
    using Number = decltype(number);
    const auto run = [&](auto kernel, int pack) {
      launch("embedding", kernel, {blocks_for(rows, 1), threads_for(width / pack, kThreads)}, stream,
             ids.data<std::int32_t>(), pointer<Number>(table), rows, width, pointer<Number>(x));
    };
    if (packs<Number>(width, {table.raw(), x.raw()})) {
      return run(gather_kernel<Number, kWide<Number>>, kWide<Number>);
    }
    run(gather_kernel<Number, 1>, 1);
  });
}

void embedding_backward(const Tensor& ids, const Tensor& dx, const Tensor& dtable, const Tensor& workspace,
                        const Stream& stream) {
  expect_fits(ids, dtable, dx);
  const std::int64_t count = dx.extent(0), width = dx.extent(1), chunks = chunks_of(count);
  expect_shape("embedding_backward: workspace", workspace, {embedding_workspace_bytes(count, width)});
  if (count == 0) return;
  const Workspace space = pieces_of(workspace, count);
  const Positions sorted = sort(ids, dtable.extent(0), space, stream);
  const Sums sums{dtable.data<float>(), space.partial, width};
  const auto run = [&](auto kernel, int pack, const auto&... arguments) {
    const int threads = threads_for((width + pack - 1) / pack, kThreads);
    const std::int64_t slabs = (width + threads * pack - 1) / (threads * pack);
    launch("embedding_backward", kernel, {chunks * slabs, threads}, stream, arguments..., static_cast<unsigned>(slabs),
           sums);
  };
  with_number("embedding_backward", dx, [&](auto number) {
    using Number = decltype(number);
    const Number* from = pointer<Number>(dx);
    if (packs<Number>(width, {from, sums.dtable, sums.partial})) {
      run(sum_kernel<Number, kWide<Number>>, kWide<Number>, sorted, count, from);
      return run(add_parts_kernel<kWide<float>>, kWide<float>, sorted.id, count);
    }
    run(sum_kernel<Number, 1>, 1, sorted, count, from);
    run(add_parts_kernel<1>, 1, sorted.id, count);
  });
}

}  // namespace coe::cuda
