#include "kernels/memory/launch.cuh"
#include "kernels/routing/grants.h"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostSources = kThreads;
constexpr std::uint32_t kNoKey = 0xFFFFFFFFU;  // above that of every score

/// to[place[j]] = from[j], or to[j] = from[place[j]]; nothing where the place is -1.
template <class Value, bool kScatters>
__global__ void move_kernel(const std::int32_t* offsets, std::int64_t tokens, const std::int32_t* place,
                            const Value* from, Value* to) {
  const std::int64_t choices = offsets[tokens], stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; j < choices; j += stride) {
    if (place[j] < 0) continue;
    to[kScatters ? place[j] : j] = from[kScatters ? j : place[j]];
  }
}

/// Everybody's asks for the block's bucket, scores as numbers that order alike.
struct Contenders {
  const std::int32_t* table;
  const std::int64_t* lists;
  std::int32_t buckets, sources;

  __device__ std::int32_t count(std::int32_t source) const { return table[source * buckets + blockIdx.x]; }
  __device__ std::int32_t begin(std::int32_t source) const {
    std::int32_t sum = 0;
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(blockIdx.x); ++n) sum += table[source * buckets + n];
    return sum;
  }
  __device__ std::uint32_t key(std::int32_t source, std::int32_t at) const {
    return __float_as_uint(reinterpret_cast<const float*>(lists[source])[at]);
  }
};

/// How many keys are at least `least`; the same on all threads.
__device__ std::int32_t count_from(const Contenders& all, const std::int32_t* begins, std::uint32_t least) {
  __shared__ std::int32_t sum;
  __syncthreads();
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  std::int32_t mine = 0;
  for (std::int32_t source = 0; source < all.sources; ++source) {
    const std::int32_t count = all.count(source);
    for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < count; i += kThreads) {
      mine += all.key(source, begins[source] + i) >= least ? 1 : 0;
    }
  }
  atomicAdd(&sum, mine);
  __syncthreads();
  return sum;
}

/// The key that `capacity` others and itself reach at least, bit by bit from the highest.
__device__ std::uint32_t last_granted_key(const Contenders& all, const std::int32_t* begins, std::int32_t capacity) {
  std::uint32_t key = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const std::uint32_t higher = key | 1U << bit;
    if (count_from(all, begins, higher) >= capacity) key = higher;
  }
  return key;
}

/// How many threads before this one say yes; `all` is how many do.
__device__ std::int32_t count_before(bool yes, std::int32_t& all) {
  __shared__ std::int32_t warps[kThreads / kWarp];
  const unsigned lane = threadIdx.x % kWarp, votes = __ballot_sync(kAllLanes, yes);
  __syncthreads();
  if (lane == 0) warps[threadIdx.x / kWarp] = __popc(votes);
  __syncthreads();
  std::int32_t before = __popc(votes & ((1U << lane) - 1U));
  all = 0;
  for (unsigned warp = 0; warp < kThreads / kWarp; ++warp) {
    if (warp < threadIdx.x / kWarp) before += warps[warp];
    all += warps[warp];
  }
  return before;
}

/// Grants a source's asks above `last`, and of those that equal it the first `ties`, which it takes off. Returns how
/// many it granted.
__device__ std::int32_t grant_source(const Contenders& all, std::int32_t source, std::int32_t begin, std::uint32_t last,
                                     std::int32_t& ties, std::uint8_t* granted) {
  const std::int32_t count = all.count(source);
  std::int32_t sum = 0;
  for (std::int32_t first = 0; first < count; first += kThreads) {
    const std::int32_t i = first + static_cast<std::int32_t>(threadIdx.x);
    const std::uint32_t key = i < count ? all.key(source, begin + i) : 0;
    std::int32_t equals;
    const std::int32_t before = count_before(i < count && key == last, equals);
    const bool yes = i < count && (key > last || (key == last && before < ties));
    if (granted != nullptr && i < count) granted[begin + i] = yes ? 1 : 0;
    sum += __syncthreads_count(yes);
    ties -= equals < ties ? equals : ties;
  }
  return sum;
}

struct Granted {
  std::int32_t *taken, capacity;
  std::uint8_t* list;
};

/// Rows that are left for what the sources contend for; the same on all threads, before any is taken.
__device__ std::int32_t room_of(const Contenders& all, const Granted& granted) {
  std::int32_t room = granted.capacity;
  for (std::int32_t source = 0; source < all.sources; ++source) {
    room -= granted.taken[source * all.buckets + blockIdx.x];
  }
  return room;
}

/// A block per bucket.
__global__ void grant_by_score_kernel(Contenders all, std::int32_t own, Granted granted) {
  __shared__ std::int32_t begins[kMostSources];
  const auto thread = static_cast<std::int32_t>(threadIdx.x);
  if (thread < all.sources) begins[thread] = all.begin(thread);
  const std::int32_t room = room_of(all, granted);
  __syncthreads();
  std::uint32_t last = 0;
  std::int32_t ties = count_from(all, begins, 0);
  if (ties > room) {
    last = room > 0 ? last_granted_key(all, begins, room) : kNoKey;
    ties = room > 0 ? room - count_from(all, begins, last + 1) : 0;
  }
  for (std::int32_t source = 0; source < all.sources; ++source) {
    const std::int32_t sum =
        grant_source(all, source, begins[source], last, ties, source == own ? granted.list : nullptr);
    if (thread == 0) granted.taken[source * all.buckets + blockIdx.x] += sum;
  }
}

/// A block per bucket; the first thread counts, all write.
__global__ void grant_by_position_kernel(Contenders all, std::int32_t own, Granted granted) {
  __shared__ std::int32_t first, end;
  const std::int32_t count = all.count(own);
  std::int32_t room = room_of(all, granted);
  __syncthreads();
  if (threadIdx.x == 0) {
    for (std::int32_t source = 0; source < all.sources; ++source) {
      const std::int32_t asked = all.count(source), sum = asked < room ? asked : room;
      if (source == own) end = sum;
      granted.taken[source * all.buckets + blockIdx.x] += sum;
      room -= sum;
    }
    first = all.begin(own);
  }
  __syncthreads();
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < count; i += kThreads) {
    granted.list[first + i] = i < end ? 1 : 0;
  }
}

Contenders contenders_of(const Tensor& table, const Tensor& lists) {
  expect_rank("grants: table", table, 2);
  const std::int64_t sources = table.extent(0);
  check(sources <= kMostSources, "grants: there are ", sources, " sources, at most ", kMostSources, " on CUDA");
  return {table.data<std::int32_t>(), pointer_or_null<std::int64_t>(lists), static_cast<std::int32_t>(table.extent(1)),
          static_cast<std::int32_t>(sources)};
}

Granted granted_of(const Tensor& table, std::int32_t capacity, const Tensor& taken, const Tensor& granted) {
  expect_shape("grants: taken", taken, table.shape());
  return {taken.data<std::int32_t>(), capacity, granted.data<std::uint8_t>()};
}

template <class Value, bool kScatters>
void move(const char* what, const Tensor& offsets, const Tensor& place, const Tensor& from, const Tensor& to,
          const Stream& stream) {
  launch(what, move_kernel<Value, kScatters>, {blocks_for(place.elements(), kThreads), kThreads}, stream,
         offsets.data<std::int32_t>(), offsets.elements() - 1, place.data<std::int32_t>(), from.data<Value>(),
         to.data<Value>());
}

}  // namespace

void list_scores(const Tensor& offsets, const Tensor& place, const Tensor& score, const Tensor& list,
                 const Stream& stream) {
  expect_shape("list_scores: score", score, place.shape());
  if (list.elements() < place.elements()) {
    fail(ErrorCode::kInternal, "list_scores: the list has ", list.elements(), " places for ", place.elements());
  }
  move<float, true>("list_scores", offsets, place, score, list, stream);
}

void grant_by_position(const Tensor& table, int source, std::int32_t capacity, const Tensor& taken,
                       const Tensor& granted, const Stream& stream) {
  launch("grant_by_position", grant_by_position_kernel, {table.extent(1), kThreads}, stream, contenders_of(table, {}),
         source, granted_of(table, capacity, taken, granted));
}

void grant_by_score(const Tensor& table, const Tensor& lists, int source, std::int32_t capacity, const Tensor& taken,
                    const Tensor& granted, const Stream& stream) {
  expect_shape("grant_by_score: lists", lists, {table.extent(0)});
  launch("grant_by_score", grant_by_score_kernel, {table.extent(1), kThreads}, stream, contenders_of(table, lists),
         source, granted_of(table, capacity, taken, granted));
}

void mark_kept(const Tensor& offsets, const Tensor& place, const Tensor& granted, const Tensor& kept,
               const Stream& stream) {
  expect_shape("mark_kept: granted", granted, place.shape());
  expect_shape("mark_kept: kept", kept, place.shape());
  move<std::uint8_t, false>("mark_kept", offsets, place, granted, kept, stream);
}

}  // namespace coe::cuda
