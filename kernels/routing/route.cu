#include "kernels/memory/copy.h"
#include "kernels/routing/token_row.cuh"

namespace coe::cuda {
namespace {

constexpr std::int64_t kMostGroups = 64;

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

/// The lanes' bits of the top_k best of scores + bias.
template <int kSlots>
__device__ unsigned choose(const Row<kSlots>& scores, const float* bias, std::int32_t n, const Rule& rule) {
  const Row<kSlots> ranking = ranking_of(scores, bias, n, rule);
  unsigned taken = 0;
  for (std::int32_t round = 0; round < rule.top_k; ++round) {
    float unused;
    take(best_of(ranking, taken, 0, n, unused), taken);
  }
  return taken;
}

template <int kSlots>
__device__ void store(const Row<kSlots>& row, std::int64_t token, std::int32_t n, float* rows) {
  for (int slot = 0; slot < kSlots; ++slot) {
    if (row.index(slot) < n) rows[token * n + row.index(slot)] = row.values[slot];
  }
}

/// Turns logits into sigmoids, and stores what else is asked of them.
template <int kSlots>
__device__ void sigmoid_row(Row<kSlots>& row, std::int64_t token, std::int32_t n, const Scores& scores) {
  if (scores.logsumexp != nullptr) {
    Row<kSlots> probability = row;
    const float sum_of_logits = softmax_row(probability, n);
    store(probability, token, n, scores.probability);
    if (leads()) scores.logsumexp[token] = sum_of_logits;
  }
  float sum = 0;
  for (int slot = 0; slot < kSlots; ++slot) {
    row.values[slot] = row.index(slot) < n ? 1.0F / (1.0F + expf(-row.values[slot])) : 0.0F;
    sum += row.values[slot];
  }
  sum = warp_sum(sum) + kNormFloor;
  if (leads()) scores.sum[token] = sum;
}

template <int kSlots>
__global__ void topk_kernel(const float* logits, const float* bias, std::int64_t tokens, std::int32_t n, Rule rule,
                            Scores scores, Choices choices, std::int32_t* lost) {
  const std::int64_t token = token_of_warp();
  if (token >= tokens) return;
  Row<kSlots> row;
  row.load(logits + token * n, n);
  hide_non_finite(row, token, lost);
  if (rule.sigmoid) {
    sigmoid_row(row, token, n, scores);
  } else {
    const float sum_of_logits = softmax_row(row, n);
    if (leads()) scores.logsumexp[token] = sum_of_logits;
  }
  store(row, token, n, scores.score);
  float chosen_sum = 0;
  const unsigned taken = choose(row, bias, n, rule);
  for (int slot = 0; slot < kSlots; ++slot) {
    if ((taken >> slot & 1U) != 0) chosen_sum += row.values[slot];
  }
  chosen_sum = warp_sum(chosen_sum) + kNormFloor;
  write_choices(row, taken, token * rule.top_k, rule.scale, rule.normalise ? chosen_sum : 1.0F, choices);
  if (!leads()) return;
  choices.offsets[token + 1] = static_cast<std::int32_t>((token + 1) * rule.top_k);
  if (token == 0) choices.offsets[0] = 0;
}

/// The gradient of a token's scores from its balance loss, which sees them over their sum.
template <int kSlots>
__device__ Row<kSlots> balance_gradient(const Row<kSlots>& score, const Scores& scores, const BalanceRows& balance,
                                        std::int64_t token, std::int32_t n) {
  Row<kSlots> ds;
  for (float& value : ds.values) value = 0;
  if (balance.rows == nullptr) return ds;
  ds.load(balance.rows + token / balance.tokens_per_row * n, n);
  if (scores.sum == nullptr) return ds;
  float mean = 0;
  for (int slot = 0; slot < kSlots; ++slot) mean += ds.values[slot] * score.values[slot];
  const float sum = scores.sum[token];
  mean = warp_sum(mean) / sum;
  for (float& value : ds.values) value = (value - mean) / sum;
  return ds;
}

/// Adds a token's choices' part to the gradient of its scores.
template <int kSlots>
__device__ void add_choices(const Choices& choices, const Rule& rule, const float* dweight, std::int64_t token,
                            Row<kSlots>& ds) {
  const std::int64_t first = choices.offsets[token], end = choices.offsets[token + 1];
  const auto chosen = [&](std::int64_t j) { return choices.chosen == nullptr || choices.chosen[j] != 0; };
  float mean = 0, sum = rule.normalise ? kNormFloor : 1.0F;
  for (std::int64_t j = first; j < end && rule.normalise; ++j) {
    mean += choices.weight[j] * dweight[j];
    if (chosen(j)) sum += choices.score[j];
  }
  for (int slot = 0; slot < kSlots; ++slot) {
    for (std::int64_t j = first; j < end; ++j) {
      if (choices.expert[j] != ds.index(slot)) continue;
      ds.values[slot] += (rule.scale * dweight[j] - (chosen(j) ? mean : 0.0F)) / sum;
    }
  }
}

template <int kSlots>
__global__ void topk_backward_kernel(Scores scores, Choices choices, Rule rule, const float* dweight,
                                     BalanceRows balance, float z_scale, std::int64_t tokens, std::int32_t n,
                                     float* dlogits) {
  const std::int64_t token = token_of_warp();
  if (token >= tokens) return;
  Row<kSlots> s;
  s.load(scores.score + token * n, n);
  Row<kSlots> ds = balance_gradient(s, scores, balance, token, n);
  add_choices(choices, rule, dweight, token, ds);
  float dot = 0;
  for (int slot = 0; slot < kSlots; ++slot) dot += s.values[slot] * ds.values[slot];
  dot = warp_sum(dot);
  const float z = z_scale == 0 ? 0.0F : 2 * z_scale * scores.logsumexp[token];
  const float* probability = rule.sigmoid ? scores.probability : scores.score;
  for (int slot = 0; slot < kSlots; ++slot) {
    if (s.index(slot) >= n) continue;
    const std::int64_t at = token * n + s.index(slot);
    const float p = s.values[slot], from_z = z == 0 ? 0.0F : z * probability[at];
    dlogits[at] = (rule.sigmoid ? p * (1 - p) * ds.values[slot] : p * (ds.values[slot] - dot)) + from_z;
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
    for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < n; i += kRowThreads) row[i] = 0;
    __syncthreads();
    const std::int32_t first = choices.offsets[token], end = choices.offsets[token + 1];
    for (std::int32_t j = first + static_cast<std::int32_t>(threadIdx.x); j < end; j += kRowThreads) {
      const std::int32_t expert = choices.expert[j];
      row[expert] = dweight[j] + (balance != nullptr ? balance[expert] : 0.0F);
    }
    __syncthreads();
  }
}

void expect_choices(const DeviceChoices& choices, std::int64_t tokens, std::int64_t most) {
  expect_shape("route: offsets", choices.offsets, {tokens + 1});
  for (const Tensor* each : {&choices.expert, &choices.weight, &choices.score}) {
    expect_shape("route: choices", *each, {most});
  }
}

void expect_scores(const TopkScores& scores, const TopkRule& rule, const Shape& shape) {
  expect_shape("route: score", scores.score, shape);
  if (rule.sigmoid) expect_shape("route: sum", scores.sum, {shape[0]});
  const bool plain = rule.sigmoid && scores.logsumexp.elements() == 0;
  if (!plain) expect_shape("route: logsumexp", scores.logsumexp, {shape[0]});
  if (!plain && rule.sigmoid) expect_shape("route: probability", scores.probability, shape);
}

}  // namespace

void route_topk(const Tensor& logits, const Tensor& bias, const TopkRule& rule, const TopkScores& scores,
                const DeviceChoices& choices, const Tensor& lost, const Stream& stream) {
  expect_rank("route: logits", logits, 2);
  const std::int64_t tokens = logits.extent(0), n = logits.extent(1);
  check(rule.top_k >= 1 && rule.top_k <= n, "route: k is ", rule.top_k,
        ", must be between 1 and the number of experts, ", n);
  check(rule.groups >= 1 && rule.groups <= kMostGroups && n % rule.groups == 0, "route: there are ", rule.groups,
        " groups, must divide ", n, " and be at most ", kMostGroups, " on CUDA");
  expect_scores(scores, rule, logits.shape());
  expect_choices(choices, tokens, tokens * rule.top_k);
  if (tokens == 0) return coe::clear(choices.offsets, stream);
  with_slots(n, [&](auto slots) {
    launch("route_topk", topk_kernel<decltype(slots)::value>, warps_of(tokens), stream, logits.data<float>(),
           pointer_or_null<float>(bias), tokens, n, rule_of(rule), scores_of(scores), choices_of(choices),
           lost.data<std::int32_t>());
  });
}

void route_topk_backward(const TopkScores& scores, const DeviceChoices& choices, const TopkRule& rule,
                         const Tensor& dweight, const Tensor& balance, float z_scale, const Tensor& dlogits,
                         const Stream& stream) {
  expect_rank("route: dlogits", dlogits, 2);
  const std::int64_t tokens = dlogits.extent(0), n = dlogits.extent(1);
  expect_scores(scores, rule, dlogits.shape());
  expect_choices(choices, tokens, choices.expert.elements());
  expect_shape("route: dweight", dweight, choices.weight.shape());
  with_slots(n, [&](auto slots) {
    launch("route_topk_backward", topk_backward_kernel<decltype(slots)::value>, warps_of(tokens), stream,
           scores_of(scores), choices_of(choices), rule_of(rule), dweight.data<float>(), balance_of(balance, tokens),
           z_scale, tokens, n, dlogits.data<float>());
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
    launch("route_relu", sum_offsets_kernel, {1, kRowThreads}, stream, choices.offsets.data<std::int32_t>(), tokens);
    launch("route_relu", relu_choices_kernel<kSlots>, warps_of(tokens), stream, scores.data<float>(), tokens, n,
           choices_of(choices));
  });
}

void route_relu_backward(const DeviceChoices& choices, const Tensor& dweight, const Tensor& balance,
                         const Tensor& dlogits, const Stream& stream) {
  expect_rank("route: dlogits", dlogits, 2);
  const std::int64_t tokens = dlogits.extent(0);
  expect_choices(choices, tokens, dlogits.elements());
  launch("route_relu_backward", relu_backward_kernel, {blocks_for(tokens, 1), kRowThreads}, stream, choices_of(choices),
         dweight.data<float>(), pointer_or_null<float>(balance), tokens, dlogits.extent(1), dlogits.data<float>());
}

}  // namespace coe::cuda
