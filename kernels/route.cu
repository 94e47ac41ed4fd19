#include "kernels/copy.h"
#include "kernels/launch.cuh"
#include "kernels/route.h"

namespace coe::cuda {
namespace {

constexpr int kThreads = 128, kTokensPerGroup = kThreads / kWarp;
constexpr std::int64_t kMostExperts = 1024, kMostGroups = 64;
constexpr float kInfinity = INFINITY, kLargest = 3.402823466e38F, kClosed = -kLargest, kNormFloor = 1e-20F;

struct Choices {
  std::int32_t *offsets, *expert;
  float *weight, *score;
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

__device__ std::int64_t token_of_warp() {
  return static_cast<std::int64_t>(blockIdx.x) * kTokensPerGroup + threadIdx.x / kWarp;
}

__device__ bool leads() { return threadIdx.x % kWarp == 0; }

/// Zeroes a row that is not finite and says so.
template <int kSlots>
__device__ void hide_non_finite(Row<kSlots>& row, std::int64_t token, std::int32_t* lost) {
  if (row.finite()) return;
  for (float& value : row.values) value = 0;
  if (leads()) atomicMin(lost, static_cast<std::int32_t>(token));
}

__device__ float warp_max(float x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, step));
  return x;
}

/// The larger value and, of equals, the lower index wins on every lane.
__device__ void warp_best(float& value, std::int32_t& index) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, value, step);
    const std::int32_t other_index = __shfl_xor_sync(kAllLanes, index, step);
    if (other > value || (other == value && other_index < index)) {
      value = other;
      index = other_index;
    }
  }
}

/// Turns logits into probabilities; returns logsumexp.
template <int kSlots>
__device__ float softmax_row(Row<kSlots>& row, std::int32_t n) {
  float largest = -kInfinity;
  for (int slot = 0; slot < kSlots; ++slot) {
    if (row.index(slot) < n) largest = fmaxf(largest, row.values[slot]);
  }
  largest = warp_max(largest);
  float sum = 0;
  for (int slot = 0; slot < kSlots; ++slot) {
    row.values[slot] = row.index(slot) < n ? expf(row.values[slot] - largest) : 0.0F;
    sum += row.values[slot];
  }
  sum = warp_sum(sum);
  for (float& value : row.values) value /= sum;
  return largest + logf(sum);
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
__device__ void take(std::int32_t i, unsigned& taken) {
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

struct Rule {
  std::int32_t top_k, groups, groups_kept;
  bool normalise;
  float scale;
};

Rule rule_of(const TopkRule& rule) {
  return {static_cast<std::int32_t>(rule.top_k), static_cast<std::int32_t>(rule.groups),
          static_cast<std::int32_t>(rule.groups_kept), rule.normalise, rule.scale};
}

/// The lanes' bits of the top_k best of scores + bias.
template <int kSlots>
__device__ unsigned choose(const Row<kSlots>& scores, const float* bias, std::int32_t n, const Rule& rule) {
  Row<kSlots> ranking = scores;
  for (int slot = 0; slot < kSlots && bias != nullptr; ++slot) {
    if (scores.index(slot) < n) ranking.values[slot] += bias[scores.index(slot)];
  }
  if (rule.groups_kept < rule.groups) keep_best_groups(ranking, n, rule.groups, rule.groups_kept);
  unsigned taken = 0;
  for (std::int32_t round = 0; round < rule.top_k; ++round) {
    float unused;
    take(best_of(ranking, taken, 0, n, unused), taken);
  }
  return taken;
}

template <int kSlots>
__global__ void softmax_topk_kernel(const float* logits, const float* bias, std::int64_t tokens, std::int32_t n,
                                    Rule rule, float* scores, float* logsumexp, Choices choices, std::int32_t* lost) {
  const std::int64_t token = token_of_warp();
  if (token >= tokens) return;
  Row<kSlots> row;
  row.load(logits + token * n, n);
  hide_non_finite(row, token, lost);
  const float sum_of_logits = softmax_row(row, n);
  float chosen_sum = 0;
  const unsigned taken = choose(row, bias, n, rule);
  for (int slot = 0; slot < kSlots; ++slot) {
    if (row.index(slot) < n) scores[token * n + row.index(slot)] = row.values[slot];
    if ((taken >> slot & 1U) != 0) chosen_sum += row.values[slot];
  }
  chosen_sum = warp_sum(chosen_sum) + kNormFloor;
  write_choices(row, taken, token * rule.top_k, rule.normalise ? 1.0F : rule.scale, rule.normalise ? chosen_sum : 1.0F,
                choices);
  if (!leads()) return;
  logsumexp[token] = sum_of_logits;
  choices.offsets[token + 1] = static_cast<std::int32_t>((token + 1) * rule.top_k);
  if (token == 0) choices.offsets[0] = 0;
}

struct BalanceRows {
  const float* rows;
  std::int64_t tokens_per_row;
};

template <int kSlots>
__global__ void softmax_topk_backward_kernel(const float* scores, const float* logsumexp, Choices choices, Rule rule,
                                             const float* dweight, BalanceRows balance, float z_scale,
                                             std::int64_t tokens, std::int32_t n, float* dlogits) {
  const std::int64_t token = token_of_warp();
  if (token >= tokens) return;
  const std::int64_t first = token * rule.top_k, end = first + rule.top_k;
  float mean = 0, sum = kNormFloor;
  for (std::int64_t j = first; j < end && rule.normalise; ++j) {
    mean += choices.weight[j] * dweight[j];
    sum += choices.score[j];
  }
  Row<kSlots> p, ds;
  p.load(scores + token * n, n);
  for (float& value : ds.values) value = 0;
  if (balance.rows != nullptr) ds.load(balance.rows + token / balance.tokens_per_row * n, n);
  float dot = 0;
  for (int slot = 0; slot < kSlots; ++slot) {
    for (std::int64_t j = first; j < end; ++j) {
      if (choices.expert[j] != p.index(slot)) continue;
      ds.values[slot] += rule.normalise ? (dweight[j] - mean) / sum : rule.scale * dweight[j];
    }
    dot += p.values[slot] * ds.values[slot];
  }
  dot = warp_sum(dot);
  const float z = 2 * z_scale * logsumexp[token];
  for (int slot = 0; slot < kSlots; ++slot) {
    if (p.index(slot) >= n) continue;
    dlogits[token * n + p.index(slot)] = p.values[slot] * (ds.values[slot] - dot) + z * p.values[slot];
  }
}

/// scores = max(logits, 0), and how many are positive in offsets[token + 1].
template <int kSlots>
__global__ void relu_kernel(const float* logits, std::int64_t tokens, std::int32_t n, float* scores,
                            std::int32_t* offsets, std::int32_t* lost) {
  const std::int64_t token = token_of_warp();
  if (token >= tokens) return;
  Row<kSlots> row;
  row.load(logits + token * n, n);
  hide_non_finite(row, token, lost);
  std::int32_t positive = 0;
  for (int slot = 0; slot < kSlots; ++slot) {
    positive += __popc(__ballot_sync(kAllLanes, row.values[slot] > 0));
    if (row.index(slot) < n) scores[token * n + row.index(slot)] = row.values[slot] > 0 ? row.values[slot] : 0.0F;
  }
  if (leads()) offsets[token + 1] = positive;
}

/// One block: counts in offsets[1] to offsets[tokens] become sums; a thread adds up a run of them.
__global__ void sum_offsets_kernel(std::int32_t* offsets, std::int64_t tokens) {
  __shared__ std::int32_t sums[kThreads];
  const std::int64_t each = (tokens + kThreads - 1) / kThreads;
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

template <int kSlots>
__global__ void relu_choices_kernel(const float* scores, std::int64_t tokens, std::int32_t n, Choices choices) {
  const std::int64_t token = token_of_warp();
  if (token >= tokens) return;
  Row<kSlots> row;
  row.load(scores + token * n, n);
  unsigned taken = 0;
  for (int slot = 0; slot < kSlots; ++slot) taken |= row.values[slot] > 0 ? 1U << slot : 0U;
  write_choices(row, taken, choices.offsets[token], 1.0F, 1.0F, choices);
}

/// A block per token: zeros, then the choices'.
__global__ void relu_backward_kernel(Choices choices, const float* dweight, const float* balance, std::int64_t tokens,
                                     std::int32_t n, float* dlogits) {
  for (std::int64_t token = blockIdx.x; token < tokens; token += gridDim.x) {
    float* row = dlogits + token * n;
    for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < n; i += kThreads) row[i] = 0;
    __syncthreads();
    const std::int32_t first = choices.offsets[token], end = choices.offsets[token + 1];
    for (std::int32_t j = first + static_cast<std::int32_t>(threadIdx.x); j < end; j += kThreads) {
      const std::int32_t expert = choices.expert[j];
      row[expert] = dweight[j] + (balance != nullptr ? balance[expert] : 0.0F);
    }
    __syncthreads();
  }
}

__global__ void scale_kernel(const std::int32_t* counts, double scale, std::int64_t n, float* factor) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    factor[i] = static_cast<float>(scale * counts[i]);
  }
}

/// partial[part] = the loss of tokens part, part + kLossParts, ...
__global__ void loss_kernel(const float* scores, BalanceRows factor, const float* logsumexp, double z_scale,
                            std::int64_t tokens, std::int64_t n, double* partial) {
  __shared__ double lanes[kWarp];
  double sum = 0;
  for (std::int64_t token = blockIdx.x; token < tokens; token += kLossParts) {
    const float* row = factor.rows == nullptr ? nullptr : factor.rows + token / factor.tokens_per_row * n;
    for (std::int64_t i = threadIdx.x; i < n && row != nullptr; i += blockDim.x) {
      sum += static_cast<double>(row[i]) * scores[token * n + i];
    }
    if (threadIdx.x == 0 && z_scale != 0) sum += z_scale * logsumexp[token] * logsumexp[token];
  }
  sum = block_sum(sum, lanes);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void add_loss_kernel(const double* partial, double* loss) {
  double sum = 0;
  for (int part = 0; part < kLossParts; ++part) sum += partial[part];
  *loss += sum;
}

/// Calls visit with a constant that is at least n / kWarp.
template <class Visit>
void with_slots(std::int64_t n, const Visit& visit) {
  check(n >= 1 && n <= kMostExperts, "route: there are ", n, " experts, must be 1 to ", kMostExperts, " on CUDA");
  if (n <= 2 * kWarp) return visit(std::integral_constant<int, 2>{});
  if (n <= 8 * kWarp) return visit(std::integral_constant<int, 8>{});
  visit(std::integral_constant<int, 32>{});
}

Choices choices_of(const DeviceChoices& choices) {
  return {choices.offsets.data<std::int32_t>(), choices.expert.data<std::int32_t>(), choices.weight.data<float>(),
          choices.score.data<float>()};
}

BalanceRows balance_of(const Tensor& rows, std::int64_t tokens) {
  if (rows.elements() == 0) return {nullptr, 1};
  return {rows.data<float>(), std::max<std::int64_t>(1, tokens / rows.extent(0))};
}

Extent warps_of(std::int64_t tokens) { return {(tokens + kTokensPerGroup - 1) / kTokensPerGroup, kThreads}; }

void expect_choices(const DeviceChoices& choices, std::int64_t tokens, std::int64_t most) {
  expect_shape("route: offsets", choices.offsets, {tokens + 1});
  for (const Tensor* each : {&choices.expert, &choices.weight, &choices.score}) {
    expect_shape("route: choices", *each, {most});
  }
}

}  // namespace

void route_softmax_topk(const Tensor& logits, const Tensor& bias, const TopkRule& rule, const Tensor& scores,
                        const Tensor& logsumexp, const DeviceChoices& choices, const Tensor& lost,
                        const Stream& stream) {
  expect_rank("route: logits", logits, 2);
  const std::int64_t tokens = logits.extent(0), n = logits.extent(1);
  check(rule.top_k >= 1 && rule.top_k <= n, "route: k is ", rule.top_k,
        ", must be between 1 and the number of experts, ", n);
  check(rule.groups >= 1 && rule.groups <= kMostGroups && n % rule.groups == 0, "route: there are ", rule.groups,
        " groups, must divide ", n, " and be at most ", kMostGroups, " on CUDA");
  expect_shape("route: scores", scores, logits.shape());
  expect_shape("route: logsumexp", logsumexp, {tokens});
  expect_choices(choices, tokens, tokens * rule.top_k);
  if (tokens == 0) return coe::clear(choices.offsets, stream);
  with_slots(n, [&](auto slots) {
    launch("route_softmax_topk", softmax_topk_kernel<decltype(slots)::value>, warps_of(tokens), stream,
           logits.data<float>(), pointer_or_null<float>(bias), tokens, n, rule_of(rule), scores.data<float>(),
           logsumexp.data<float>(), choices_of(choices), lost.data<std::int32_t>());
  });
}

void route_softmax_topk_backward(const Tensor& scores, const Tensor& logsumexp, const DeviceChoices& choices,
                                 const TopkRule& rule, const Tensor& dweight, const Tensor& balance, float z_scale,
                                 const Tensor& dlogits, const Stream& stream) {
  expect_rank("route: scores", scores, 2);
  const std::int64_t tokens = scores.extent(0), n = scores.extent(1);
  expect_shape("route: dlogits", dlogits, scores.shape());
  expect_choices(choices, tokens, tokens * rule.top_k);
  expect_shape("route: dweight", dweight, choices.weight.shape());
  with_slots(n, [&](auto slots) {
    launch("route_softmax_topk_backward", softmax_topk_backward_kernel<decltype(slots)::value>, warps_of(tokens),
           stream, scores.data<float>(), logsumexp.data<float>(), choices_of(choices), rule_of(rule),
           dweight.data<float>(), balance_of(balance, tokens), z_scale, tokens, n, dlogits.data<float>());
  });
}

void route_relu(const Tensor& logits, const Tensor& scores, const DeviceChoices& choices, const Tensor& lost,
                const Stream& stream) {
  expect_rank("route: logits", logits, 2);
  const std::int64_t tokens = logits.extent(0), n = logits.extent(1);
  expect_shape("route: scores", scores, logits.shape());
  expect_choices(choices, tokens, tokens * n);
  with_slots(n, [&](auto slots) {
    constexpr int kSlots = decltype(slots)::value;
    launch("route_relu", relu_kernel<kSlots>, warps_of(tokens), stream, logits.data<float>(), tokens, n,
           scores.data<float>(), choices.offsets.data<std::int32_t>(), lost.data<std::int32_t>());
    launch("route_relu", sum_offsets_kernel, {1, kThreads}, stream, choices.offsets.data<std::int32_t>(), tokens);
    launch("route_relu", relu_choices_kernel<kSlots>, warps_of(tokens), stream, scores.data<float>(), tokens, n,
           choices_of(choices));
  });
}

void route_relu_backward(const DeviceChoices& choices, const Tensor& dweight, const Tensor& balance,
                         const Tensor& dlogits, const Stream& stream) {
  expect_rank("route: dlogits", dlogits, 2);
  const std::int64_t tokens = dlogits.extent(0);
  expect_choices(choices, tokens, dlogits.elements());
  launch("route_relu_backward", relu_backward_kernel, {blocks_for(tokens, 1), kThreads}, stream, choices_of(choices),
         dweight.data<float>(), pointer_or_null<float>(balance), tokens, dlogits.extent(1), dlogits.data<float>());
}

void scale_counts(const Tensor& counts, double scale, const Tensor& factor, const Stream& stream) {
  expect_shape("scale_counts: factor", factor, counts.shape());
  launch("scale_counts", scale_kernel, {blocks_for(counts.elements(), kThreads), kThreads}, stream,
         counts.data<std::int32_t>(), scale, counts.elements(), factor.data<float>());
}

void add_balance_loss(const Tensor& scores, const Tensor& factor, const Tensor& logsumexp, float z_scale,
                      const Tensor& partial, const Tensor& loss, const Stream& stream) {
  expect_rank("add_balance_loss: scores", scores, 2);
  expect_shape("add_balance_loss: partial", partial, {kLossParts});
  const std::int64_t tokens = scores.extent(0);
  launch("add_balance_loss", loss_kernel, {kLossParts, kThreads}, stream, scores.data<float>(),
         balance_of(factor, tokens), pointer_or_null<float>(logsumexp), z_scale, tokens, scores.extent(1),
         partial.data<double>());
  launch("add_balance_loss", add_loss_kernel, {1, 1}, stream, partial.data<double>(), loss.data<double>());
}

}  // namespace coe::cuda
