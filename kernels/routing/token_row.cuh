#pragma once

#include "kernels/memory/launch.cuh"
#include "kernels/routing/route.h"

namespace coe::cuda {

// A warp per token, which holds the token's row of N scores.

inline constexpr int kRowThreads = 128, kTokensPerGroup = kRowThreads / kWarp;
inline constexpr std::int64_t kMostExperts = 1024;
inline constexpr float kInfinity = INFINITY, kLargest = 3.402823466e38F, kClosed = -kLargest, kNormFloor = 1e-20F;

/// DeviceChoices, as kernels take them.
struct Choices {
  std::int32_t *offsets, *expert;
  float *weight, *score;
  std::uint8_t* chosen;  ///< nullptr: all
};

/// TopkScores, as kernels take them.
struct Scores {
  float *score, *sum, *probability, *logsumexp;
};

/// A balance loss's rows of N numbers, each for so many tokens.
struct BalanceRows {
  const float* rows;
  std::int64_t tokens_per_row;
};

/// A row over a warp: element slot * kWarp + lane is the lane's values[slot].
template <int kSlots>
struct Row {
  float values[kSlots];

  __device__ void load(const float* row, std::int32_t n) {
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::int32_t i = index(slot);
      values[slot] = i < n ? row[i] : 0.0F;
    }
  }
  __device__ static std::int32_t index(int slot) {
    return slot * kWarp + static_cast<std::int32_t>(threadIdx.x % kWarp);
  }
  __device__ bool finite() const {
    bool all = true;
    for (float value : values) all = all && fabsf(value) <= kLargest;
    return __all_sync(kAllLanes, all) != 0;
  }
};

__device__ inline std::int64_t token_of_warp() {
  return static_cast<std::int64_t>(blockIdx.x) * kTokensPerGroup + threadIdx.x / kWarp;
}

__device__ inline bool leads() { return threadIdx.x % kWarp == 0; }

/// The larger value and, of equals, the lower index wins on every lane.
__device__ inline void warp_best(float& value, std::int32_t& index) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, value, step);
    const std::int32_t other_index = __shfl_xor_sync(kAllLanes, index, step);
    if (other > value || (other == value && other_index < index)) {
      value = other;
      index = other_index;
    }
  }
}

/// The best element in [begin, end) that is not `taken`; its value is -infinity where there is none.
template <int kSlots>
__device__ std::int32_t best_of(const Row<kSlots>& row, unsigned taken, std::int32_t begin, std::int32_t end,
                                float& value) {
  value = -kInfinity;
  std::int32_t best = kNoneLost;
  for (int slot = 0; slot < kSlots; ++slot) {
    const std::int32_t i = row.index(slot);
    if (i < begin || i >= end || (taken >> slot & 1U) != 0) continue;
    if (row.values[slot] > value || best == kNoneLost) {
      value = row.values[slot];
      best = i;
    }
  }
  warp_best(value, best);
  return best;
}

/// Sets the lane's bit of element i.
__device__ inline void take(std::int32_t i, unsigned& taken) {
  if (i % kWarp == static_cast<std::int32_t>(threadIdx.x % kWarp)) taken |= 1U << (i / kWarp);
}

/// Closes all but the best groups: each is worth the sum of its two best.
template <int kSlots>
__device__ void keep_best_groups(Row<kSlots>& ranking, std::int32_t n, std::int32_t groups, std::int32_t kept) {
  const std::int32_t each = n / groups;
  Row<2> worth = {};
  for (std::int32_t group = 0; group < groups; ++group) {
    const std::int32_t begin = group * each, end = begin + each;
    float best, second = 0;
    unsigned taken = 0;
    take(best_of(ranking, taken, begin, end, best), taken);
    if (each > 1) best_of(ranking, taken, begin, end, second);
    for (int slot = 0; slot < 2; ++slot) {
      if (worth.index(slot) == group) worth.values[slot] = best + second;
    }
  }
  unsigned chosen = 0;
  std::uint64_t open = 0;
  for (std::int32_t round = 0; round < kept; ++round) {
    float unused;
    const std::int32_t group = best_of(worth, chosen, 0, groups, unused);
    take(group, chosen);
    open |= std::uint64_t{1} << group;
  }
  for (int slot = 0; slot < kSlots; ++slot) {
    const std::int32_t i = ranking.index(slot);
    if (i < n && (open >> (i / each) & 1U) == 0) ranking.values[slot] = kClosed;
  }
}

struct Rule {
  std::int32_t top_k, groups, groups_kept;
  bool sigmoid, normalise;
  float scale;
};

inline Rule rule_of(const TopkRule& rule) {
  return {static_cast<std::int32_t>(rule.top_k),
          static_cast<std::int32_t>(rule.groups),
          static_cast<std::int32_t>(rule.groups_kept),
          rule.sigmoid,
          rule.normalise,
          rule.scale};
}

/// What a token's experts are chosen by.
template <int kSlots>
__device__ Row<kSlots> ranking_of(const Row<kSlots>& scores, const float* bias, std::int32_t n, const Rule& rule) {
  Row<kSlots> ranking = scores;
  for (int slot = 0; slot < kSlots && bias != nullptr; ++slot) {
    if (scores.index(slot) < n) ranking.values[slot] += bias[scores.index(slot)];
  }
  if (rule.groups_kept < rule.groups) keep_best_groups(ranking, n, rule.groups, rule.groups_kept);
  return ranking;
}

/// Writes a token's choices, the lanes' taken bits, by ascending element from `first` on.
template <int kSlots>
__device__ void write_choices(const Row<kSlots>& scores, unsigned taken, std::int64_t first, float scale, float divisor,
                              const Choices& choices) {
  const unsigned below = (1U << (threadIdx.x % kWarp)) - 1U;
  for (int slot = 0; slot < kSlots; ++slot) {
    const bool chosen = (taken >> slot & 1U) != 0;
    const unsigned all = __ballot_sync(kAllLanes, chosen);
    if (chosen) {
      const std::int64_t at = first + __popc(all & below);
      choices.expert[at] = scores.index(slot);
      choices.score[at] = scores.values[slot];
      choices.weight[at] = scale * scores.values[slot] / divisor;
    }
    first += __popc(all);
  }
}

/// One block: counts in offsets[1] to offsets[tokens] become sums; a thread adds up a run of them.
static __global__ void sum_offsets_kernel(std::int32_t* offsets, std::int64_t tokens) {
  __shared__ std::int32_t sums[kRowThreads];
  const std::int64_t each = (tokens + kRowThreads - 1) / kRowThreads;
  const std::int64_t first = min(threadIdx.x * each, tokens), end = min(first + each, tokens);
  std::int32_t sum = 0;
  for (std::int64_t t = first; t < end; ++t) sum += offsets[t + 1];
  sums[threadIdx.x] = sum;
  __syncthreads();
  sum = 0;
  for (unsigned thread = 0; thread < threadIdx.x; ++thread) sum += sums[thread];
  if (threadIdx.x == 0) offsets[0] = 0;
  for (std::int64_t t = first; t < end; ++t) offsets[t + 1] = sum += offsets[t + 1];
}

/// Calls visit with a constant that is at least n / kWarp.
template <class Visit>
void with_slots(std::int64_t n, const Visit& visit) {
  check(n >= 1 && n <= kMostExperts, "route: there are ", n, " experts, must be 1 to ", kMostExperts, " on CUDA");
  if (n <= 2 * kWarp) return visit(std::integral_constant<int, 2>{});
  if (n <= 8 * kWarp) return visit(std::integral_constant<int, 8>{});
  visit(std::integral_constant<int, 32>{});
}

inline Choices choices_of(const DeviceChoices& choices) {
  return {choices.offsets.data<std::int32_t>(), choices.expert.data<std::int32_t>(), choices.weight.data<float>(),
          choices.score.data<float>(), pointer_or_null<std::uint8_t>(choices.chosen)};
}

inline Scores scores_of(const TopkScores& scores) {
  return {scores.score.data<float>(), pointer_or_null<float>(scores.sum), pointer_or_null<float>(scores.probability),
          pointer_or_null<float>(scores.logsumexp)};
}

inline BalanceRows balance_of(const Tensor& rows, std::int64_t tokens) {
  if (rows.elements() == 0) return {nullptr, 1};
  return {rows.data<float>(), std::max<std::int64_t>(1, tokens / rows.extent(0))};
}

inline Extent warps_of(std::int64_t tokens) { return {(tokens + kTokensPerGroup - 1) / kTokensPerGroup, kRowThreads}; }

}  // namespace coe::cuda
