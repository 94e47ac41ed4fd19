#include "kernels/memory/copy.h"
#include "kernels/routing/reroute.h"
#include "kernels/routing/token_row.cuh"

namespace coe::cuda {
namespace {

struct StandbysIn {
  std::int32_t *tried, *expert;
  float* score;
  std::uint8_t *asking, *granted;
};

/// The lanes' bits of the router's choices.
__device__ unsigned bits_of(const Choices& choices, std::int64_t token) {
  unsigned bits = 0;
  for (std::int32_t j = choices.offsets[token]; j < choices.offsets[token + 1]; ++j) take(choices.expert[j], bits);
  return bits;
}

/// Those of the granted standbys.
__device__ unsigned granted_bits(const Choices& choices, const StandbysIn& standbys, std::int64_t token) {
  unsigned bits = 0;
  for (std::int32_t j = choices.offsets[token]; j < choices.offsets[token + 1]; ++j) {
    if (standbys.granted[j] != 0) take(standbys.expert[j], bits);
  }
  return bits;
}

template <int kSlots>
__global__ void ask_kernel(const float* scores, const float* bias, std::int64_t tokens, std::int32_t n, Rule rule,
                           Choices choices, const std::uint8_t* kept, bool first_round, StandbysIn standbys) {
  const std::int64_t token = token_of_warp();
  if (token >= tokens) return;
  Row<kSlots> row;
  row.load(scores + token * n, n);
  row = ranking_of(row, bias, n, rule);
  auto* tried = reinterpret_cast<unsigned*>(standbys.tried) + token * kWarp + threadIdx.x % kWarp;
  unsigned taken = first_round ? bits_of(choices, token) : *tried;
  for (std::int32_t j = choices.offsets[token]; j < choices.offsets[token + 1]; ++j) {
    bool asks = kept[j] == 0 && standbys.granted[j] == 0;
    if (asks) {
      float value;
      const std::int32_t best = best_of(row, taken, 0, n, value);
      asks = value > kClosed;
      if (asks) take(best, taken);
      if (asks && leads()) {
        standbys.expert[j] = best;
        standbys.score[j] = scores[token * n + best];
      }
    }
    if (leads()) standbys.asking[j] = asks ? 1 : 0;
  }
  *tried = taken;
}

/// offsets[token + 1] = how many choices the token has with its standbys.
__global__ void count_merged_kernel(std::int64_t tokens, Choices choices, const std::uint8_t* granted,
                                    std::int32_t* offsets) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t token = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; token < tokens;
       token += stride) {
    const std::int32_t first = choices.offsets[token], end = choices.offsets[token + 1];
    std::int32_t sum = end - first;
    for (std::int32_t j = first; j < end; ++j) sum += granted[j];
    offsets[token + 1] = sum;
  }
}

/// Chosen and granted alike by ascending expert: both runs are merged by their lanes' bits.
template <int kSlots>
__global__ void merge_kernel(const float* scores, std::int64_t tokens, std::int32_t n, Rule rule, Choices choices,
                             const std::uint8_t* kept, StandbysIn standbys, Choices all, std::uint8_t* all_kept) {
  const std::int64_t token = token_of_warp();
  if (token >= tokens) return;
  Row<kSlots> row;
  row.load(scores + token * n, n);
  const unsigned own = bits_of(choices, token), taken = own | granted_bits(choices, standbys, token);
  float divisor = 0;
  for (int slot = 0; slot < kSlots; ++slot) divisor += (own >> slot & 1U) != 0 ? row.values[slot] : 0.0F;
  divisor = rule.normalise ? warp_sum(divisor) + kNormFloor : 1.0F;
  const std::int64_t at = all.offsets[token];
  write_choices(row, taken, at, rule.scale, divisor, all);
  std::int64_t next = at, from = choices.offsets[token];
  const unsigned below = (1U << (threadIdx.x % kWarp)) - 1U;
  for (int slot = 0; slot < kSlots; ++slot) {
    const bool mine = (own >> slot & 1U) != 0, here = (taken >> slot & 1U) != 0;
    const unsigned owns = __ballot_sync(kAllLanes, mine), heres = __ballot_sync(kAllLanes, here);
    if (here) {
      const std::int64_t j = next + __popc(heres & below);
      all.chosen[j] = mine ? 1 : 0;
      all_kept[j] = mine ? kept[from + __popc(owns & below)] : 1;
    }
    next += __popc(heres);
    from += __popc(owns);
  }
}

StandbysIn standbys_in(const Standbys& standbys, const DeviceChoices& choices, std::int64_t tokens) {
  expect_shape("reroute: tried", standbys.tried, {tokens, kWarp});
  for (const Tensor* each : {&standbys.expert, &standbys.score, &standbys.asking, &standbys.granted}) {
    expect_shape("reroute: standbys", *each, choices.expert.shape());
  }
  return {standbys.tried.data<std::int32_t>(), standbys.expert.data<std::int32_t>(), standbys.score.data<float>(),
          standbys.asking.data<std::uint8_t>(), standbys.granted.data<std::uint8_t>()};
}

}  // namespace

void ask_next_best(const Tensor& scores, const Tensor& bias, const TopkRule& rule, const DeviceChoices& choices,
                   const Tensor& kept, bool first_round, const Standbys& standbys, const Stream& stream) {
  expect_rank("reroute: scores", scores, 2);
  const std::int64_t tokens = scores.extent(0), n = scores.extent(1);
  expect_shape("reroute: kept", kept, choices.expert.shape());
  with_slots(n, [&](auto slots) {
    launch("ask_next_best", ask_kernel<decltype(slots)::value>, warps_of(tokens), stream, scores.data<float>(),
           pointer_or_null<float>(bias), tokens, n, rule_of(rule), choices_of(choices), kept.data<std::uint8_t>(),
           first_round, standbys_in(standbys, choices, tokens));
  });
}

void merge_standbys(const Tensor& scores, const TopkRule& rule, const DeviceChoices& choices, const Tensor& kept,
                    const Standbys& standbys, const DeviceChoices& all, const Tensor& all_kept, const Stream& stream) {
  expect_rank("reroute: scores", scores, 2);
  const std::int64_t tokens = scores.extent(0), n = scores.extent(1);
  expect_shape("reroute: kept", kept, choices.expert.shape());
  expect_shape("reroute: all_kept", all_kept, all.expert.shape());
  expect_shape("reroute: chosen", all.chosen, all.expert.shape());
  const StandbysIn in = standbys_in(standbys, choices, tokens);
  if (tokens == 0) return coe::clear(all.offsets, stream);
  launch("merge_standbys", count_merged_kernel, {blocks_for(tokens, kRowThreads), kRowThreads}, stream, tokens,
         choices_of(choices), in.granted, all.offsets.data<std::int32_t>());
  launch("merge_standbys", sum_offsets_kernel, {1, kRowThreads}, stream, all.offsets.data<std::int32_t>(), tokens);
  with_slots(n, [&](auto slots) {
    launch("merge_standbys", merge_kernel<decltype(slots)::value>, warps_of(tokens), stream, scores.data<float>(),
           tokens, n, rule_of(rule), choices_of(choices), kept.data<std::uint8_t>(), in, choices_of(all),
           all_kept.data<std::uint8_t>());
  });
}

}  // namespace coe::cuda
