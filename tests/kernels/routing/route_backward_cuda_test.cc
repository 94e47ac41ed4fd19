#include "kernels/routing/route.h"

#include <array>

#include "kernels/routing/sigmoid.h"
#include "kernels/routing/softmax.h"
#include "kernels/routing/topk.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

struct Sizes {
  std::int64_t tokens, n, k, runs;
};

/// One expert, a warp and a little more, all that fit, no tokens.
constexpr std::array kSizes = {Sizes{13, 5, 2, 1}, Sizes{9, 64, 4, 3},     Sizes{5, 200, 8, 5},  Sizes{4, 1000, 64, 2},
                               Sizes{6, 1, 1, 1},  Sizes{300, 33, 33, 10}, Sizes{7, 1024, 1, 7}, Sizes{0, 8, 2, 1}};

/// A top-k decision by the softmax of logits, or their sigmoids, and what its backward comes from.
struct Decision {
  Decision(const Sizes& s, unsigned seed, bool sigmoids)
      : scored({s.tokens, s.n}),
        sum({s.tokens}),
        p({s.tokens, s.n}),
        logsumexp({s.tokens}),
        expert({s.tokens, s.k}),
        weight({s.tokens * s.k}),
        score({s.tokens * s.k}),
        offsets({s.tokens + 1}),
        dweight(normal_tensor({s.tokens * s.k}, seed)),
        balance(normal_tensor({s.runs, s.n}, seed + 1)) {
    const Floats logits = normal_tensor({s.tokens, s.n}, seed + 2, 3);
    for (std::int64_t t = 0; t < s.tokens; ++t) logits[t * s.n] += 5;  // nearly all want the first
    softmax(logits, p, logsumexp);
    sigmoid(logits, scored, sum);
    if (!sigmoids) std::copy(p.begin(), p.end(), scored.begin());
    topk(scored, expert);
    for (std::int64_t t = 0; t <= s.tokens; ++t) offsets[t] = static_cast<std::int32_t>(t * s.k);
    for (std::int64_t j = 0; j < s.tokens * s.k; ++j) score[j] = scored[j / s.k * s.n + expert[j]];
  }
  /// As a router weighs.
  void weigh(const cuda::TopkRule& rule) {
    for (std::int64_t first = 0; first < score.tensor().elements(); first += rule.top_k) {
      double divisor = 0;
      for (std::int64_t j = first; j < first + rule.top_k; ++j) divisor += score[j];
      if (!rule.normalise) divisor = 1;
      for (std::int64_t j = first; j < first + rule.top_k; ++j) {
        weight[j] = static_cast<float>(rule.scale * score[j] / divisor);
      }
    }
  }

  Floats scored, sum, p, logsumexp;
  Ints expert;
  Floats weight, score;
  Ints offsets;
  Floats dweight, balance;
};

/// By the chain rule in double: w = scale s, or scale s / sum of the chosen; s = softmax(z) or sigmoid(z), of which the
/// balance losses see s / sum of all; and z's own 2 z_scale logsumexp softmax(z).
Floats slow_backward(const Sizes& s, const Decision& made, const cuda::TopkRule& rule, float z_scale) {
  Floats dlogits({s.tokens, s.n});
  for (std::int64_t t = 0; t < s.tokens; ++t) {
    std::vector<double> ds(static_cast<std::size_t>(s.n));
    const float* row = made.scored.begin() + t * s.n;
    const float* balance = made.balance.begin() + t / std::max<std::int64_t>(1, s.tokens / s.runs) * s.n;
    const double all = rule.sigmoid ? static_cast<double>(made.sum[t]) : 1.0;
    double balance_mean = 0, sum = 0, mean = 0, dot = 0;
    for (std::int64_t i = 0; i < s.n; ++i) balance_mean += static_cast<double>(balance[i]) * row[i] / all;
    for (std::int64_t i = 0; i < s.n; ++i) {
      ds[static_cast<std::size_t>(i)] = rule.sigmoid ? (balance[i] - balance_mean) / all : balance[i];
    }
    for (std::int64_t j = t * s.k; j < (t + 1) * s.k; ++j) sum += made.score[j];
    for (std::int64_t j = t * s.k; j < (t + 1) * s.k; ++j) mean += made.score[j] / sum * made.dweight[j];
    for (std::int64_t j = t * s.k; j < (t + 1) * s.k; ++j) {
      const double unscaled = rule.normalise ? (made.dweight[j] - mean) / sum : made.dweight[j];
      ds[static_cast<std::size_t>(made.expert[j])] += rule.scale * unscaled;
    }
    for (std::int64_t i = 0; i < s.n; ++i) dot += ds[static_cast<std::size_t>(i)] * row[i];
    for (std::int64_t i = 0; i < s.n; ++i) {
      const double z = 2.0 * z_scale * made.logsumexp[t] * made.p[t * s.n + i], here = ds[static_cast<std::size_t>(i)];
      dlogits[t * s.n + i] = static_cast<float>(row[i] * (rule.sigmoid ? (1.0 - row[i]) * here : here - dot) + z);
    }
  }
  return dlogits;
}

class RouteBackwardCuda : public OnCuda {
 protected:
  cuda::DeviceChoices put(const Decision& made) {
    const std::int64_t choices = made.weight.tensor().elements();
    return {OnCuda::put(made.offsets),
            OnCuda::put(made.expert).reshaped({choices}),
            OnCuda::put(made.weight),
            OnCuda::put(made.score),
            {}};
  }
  cuda::TopkScores put_scores(const Decision& made, bool sigmoids) {
    if (!sigmoids) return {put(made.scored), {}, {}, put(made.logsumexp)};
    return {put(made.scored), put(made.sum), put(made.p), put(made.logsumexp)};
  }
  using OnCuda::put;
};

TEST_F(RouteBackwardCuda, TopkIsTheChainRule) {
  for (const Sizes& s : kSizes) {
    for (const bool sigmoids : {false, true}) {
      for (const bool normalise : {false, true}) {
        Decision made(s, 1, sigmoids);
        const cuda::TopkRule rule{.top_k = s.k, .sigmoid = sigmoids, .normalise = normalise, .scale = 2.5F};
        made.weigh(rule);
        const Tensor dlogits = room(DType::kF32, {s.tokens, s.n});
        cuda::route_topk_backward(put_scores(made, sigmoids), put(made), rule, put(made.dweight), put(made.balance),
                                  0.3F, dlogits, stream_);
        EXPECT_LE(error_of(get<float>(dlogits), slow_backward(s, made, rule, 0.3F)), 1e-5)
            << s.tokens << " x " << s.n << sigmoids << normalise;
      }
    }
  }
}

TEST_F(RouteBackwardCuda, WithoutAZLossASigmoidNeedsNoLogsumexp) {
  const Sizes s{9, 64, 4, 3};
  Decision made(s, 1, true);
  const cuda::TopkRule rule{.top_k = s.k, .sigmoid = true};
  made.weigh(rule);
  const Tensor dlogits = room(DType::kF32, {s.tokens, s.n});
  cuda::route_topk_backward({.score = put(made.scored), .sum = put(made.sum)}, put(made), rule, put(made.dweight),
                            put(made.balance), 0, dlogits, stream_);
  EXPECT_LE(error_of(get<float>(dlogits), slow_backward(s, made, rule, 0)), 1e-5);
}

TEST_F(RouteBackwardCuda, ReluReachesWhatWasChosenAlone) {
  // Token 0 chose 0 and 2, token 1 none, token 2 expert 1; what stands behind the last choice is nobody's.
  const cuda::DeviceChoices choices{put(Ints({4}, {0, 2, 2, 3})),
                                    put(Ints({9}, {0, 2, 1, 2, 2, 2, 2, 2, 2})),
                                    room(DType::kF32, {9}),
                                    room(DType::kF32, {9}),
                                    {}};
  const Floats dweight({9}, {1, 2, 3, 9, 9, 9, 9, 9, 9}), balance({1, 3}, {10, 20, 30});
  const Tensor dlogits = room(DType::kF32, {3, 3});
  cuda::route_relu_backward(choices, put(dweight), put(balance), dlogits, stream_);
  EXPECT_EQ(get<float>(dlogits).values(), (std::vector<float>{11, 0, 32, 0, 0, 0, 0, 23, 0}));
  cuda::route_relu_backward(choices, put(dweight), {}, dlogits, stream_);
  EXPECT_EQ(get<float>(dlogits).values(), (std::vector<float>{1, 0, 2, 0, 0, 0, 0, 3, 0}));
}

}  // namespace
}  // namespace coe
