#include "kernels/routing/route.h"

#include <array>

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

/// A top-k decision, and what its backward comes from.
struct Decision {
  Decision(const Sizes& s, unsigned seed)
      : p({s.tokens, s.n}),
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
    topk(p, expert);
    for (std::int64_t t = 0; t <= s.tokens; ++t) offsets[t] = static_cast<std::int32_t>(t * s.k);
    for (std::int64_t j = 0; j < s.tokens * s.k; ++j) score[j] = weight[j] = p[j / s.k * s.n + expert[j]];
  }
  /// As a normalising router weighs.
  void normalise(std::int64_t k) {
    for (std::int64_t first = 0; first < score.tensor().elements(); first += k) {
      double sum = 0;
      for (std::int64_t j = first; j < first + k; ++j) sum += score[j];
      for (std::int64_t j = first; j < first + k; ++j) weight[j] = static_cast<float>(score[j] / sum);
    }
  }

  Floats p, logsumexp;
  Ints expert;
  Floats weight, score;
  Ints offsets;
  Floats dweight, balance;
};

/// By the chain rule in double: w = scale s or s / sum of the chosen, s = softmax(z), and z's own 2 z_scale logsumexp
/// s.
Floats slow_backward(const Sizes& s, const Decision& made, const cuda::TopkRule& rule, float z_scale) {
  Floats dlogits({s.tokens, s.n});
  for (std::int64_t t = 0; t < s.tokens; ++t) {
    std::vector<double> ds(static_cast<std::size_t>(s.n));
    for (std::int64_t i = 0; i < s.n; ++i) {
      ds[static_cast<std::size_t>(i)] = made.balance[t / std::max<std::int64_t>(1, s.tokens / s.runs) * s.n + i];
    }
    double sum = 0, mean = 0, dot = 0;
    for (std::int64_t j = t * s.k; j < (t + 1) * s.k; ++j) sum += made.score[j];
    for (std::int64_t j = t * s.k; j < (t + 1) * s.k; ++j) mean += made.score[j] / sum * made.dweight[j];
    for (std::int64_t j = t * s.k; j < (t + 1) * s.k; ++j) {
      const double unscaled = made.dweight[j];
      ds[static_cast<std::size_t>(made.expert[j])] += rule.normalise ? (unscaled - mean) / sum : rule.scale * unscaled;
    }
    for (std::int64_t i = 0; i < s.n; ++i) dot += ds[static_cast<std::size_t>(i)] * made.p[t * s.n + i];
    for (std::int64_t i = 0; i < s.n; ++i) {
      const double z = 2.0 * z_scale * made.logsumexp[t];
      dlogits[t * s.n + i] = static_cast<float>(made.p[t * s.n + i] * (ds[static_cast<std::size_t>(i)] - dot + z));
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
  using OnCuda::put;
};

TEST_F(RouteBackwardCuda, SoftmaxTopkIsTheChainRule) {
  for (const Sizes& s : kSizes) {
    for (const bool normalise : {false, true}) {
      Decision made(s, 1);
      if (normalise) made.normalise(s.k);
      const cuda::TopkRule rule{.top_k = s.k, .normalise = normalise, .scale = 2.5F};
      const Tensor dlogits = room(DType::kF32, {s.tokens, s.n});
      cuda::route_softmax_topk_backward(put(made.p), put(made.logsumexp), put(made), rule, put(made.dweight),
                                        put(made.balance), 0.3F, dlogits, stream_);
      EXPECT_LE(error_of(get<float>(dlogits), slow_backward(s, made, rule, 0.3F)), 1e-5) << s.tokens << " x " << s.n;
    }
  }
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

TEST_F(RouteBackwardCuda, BalanceLossesAreAddedUpInDouble) {
  for (const Sizes& s : kSizes) {
    const Decision made(s, 7);
    const Tensor partial = room(DType::kF64, {cuda::kLossParts});
    const Tensor loss = put(Owned<double>({1}, {4}));
    cuda::add_balance_loss(put(made.p), put(made.balance), put(made.logsumexp), 0.3F, partial, loss, stream_);
    double wanted = 4;
    for (std::int64_t i = 0; i < s.tokens * s.n; ++i) {
      const std::int64_t run = i / s.n / std::max<std::int64_t>(1, s.tokens / s.runs);
      wanted += static_cast<double>(made.balance[run * s.n + i % s.n]) * made.p[i];
    }
    for (const float z : made.logsumexp) wanted += static_cast<double>(0.3F) * z * z;
    EXPECT_NEAR(get<double>(loss)[0], wanted, 1e-9 * (1 + std::abs(wanted)));
  }
  const Tensor factor = room(DType::kF32, {2, 3});
  cuda::scale_counts(put(Ints({2, 3}, {0, 1, 2, 3, 4, 1000})), 0.5, factor, stream_);
  EXPECT_EQ(get<float>(factor).values(), (std::vector<float>{0, 0.5F, 1, 1.5F, 2, 500}));
}

}  // namespace
}  // namespace coe
