#include "runtime/routing/topk_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "kernels/memory/error.h"
#include "tests/runtime/routing/slow_balance.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

LayerConfig layer_of(std::int64_t experts, std::int64_t top_k) { return {.experts = experts, .top_k = top_k}; }

/// Logits whose softmax is 1/8, 2/8, 5/8 and 4/8, 1/8, 3/8.
Tensor eighths(Arena& arena) {
  std::vector<float> logits;
  for (const double eighth : {1, 2, 5, 4, 1, 3}) logits.push_back(static_cast<float>(std::log(eighth)));
  return tensor_of<float>({2, 3}, logits, arena);
}

TEST(TopkRouter, ChoosesTheLargestAndWeighsByProbability) {
  Arena arena;
  const Routed routed = TopkRouter(layer_of(3, 2)).route(eighths(arena), {}, arena);
  const Routing& routing = routed.routing;
  EXPECT_EQ(routing.experts, 3);
  EXPECT_EQ(values_of<std::int32_t>(routing.offsets), (std::vector<std::int32_t>{0, 2, 4}));
  EXPECT_EQ(values_of<std::int32_t>(routing.expert), (std::vector<std::int32_t>{1, 2, 0, 2}));
  EXPECT_EQ(values_of<std::uint8_t>(routing.kept), (std::vector<std::uint8_t>{1, 1, 1, 1}));
  expect_near(routing.weight, {0.25, 0.625, 0.5, 0.375}, 1e-6);
  EXPECT_EQ(values_of<float>(routing.score), values_of<float>(routing.weight));
  expect_near(routed.scores, {0.125, 0.25, 0.625, 0.5, 0.125, 0.375}, 1e-6);
  expect_near(routed.logsumexp, {std::log(8.0), std::log(8.0)}, 1e-6);
}

TEST(TopkRouter, AScalingFactorScalesWeightsAndNotScores) {
  Arena arena;
  LayerConfig config = layer_of(3, 2);
  config.routed_scaling_factor = 2.5F;
  const Routing routing = TopkRouter(config).route(eighths(arena), {}, arena).routing;
  expect_near(routing.weight, {0.625, 1.5625, 1.25, 0.9375}, 1e-6);
  expect_near(routing.score, {0.25, 0.625, 0.5, 0.375}, 1e-6);
}

TEST(TopkRouter, NormalisedWeightsAddUpToOne) {
  Arena arena;
  LayerConfig config = layer_of(3, 2);
  config.norm_topk_prob = true;
  const Routing routing = TopkRouter(config).route(eighths(arena), {}, arena).routing;
  expect_near(routing.weight, {2.0 / 7, 5.0 / 7, 4.0 / 7, 3.0 / 7}, 1e-6);
  expect_near(routing.score, {0.25, 0.625, 0.5, 0.375}, 1e-6);
}

TEST(TopkRouter, NormalisedWeightsAddUpToTheScalingFactor) {
  Arena arena;
  LayerConfig config = layer_of(3, 2);
  config.norm_topk_prob = true;
  config.routed_scaling_factor = 2.5F;
  const Routing routing = TopkRouter(config).route(eighths(arena), {}, arena).routing;
  expect_near(routing.weight, {5.0 / 7, 12.5 / 7, 10.0 / 7, 7.5 / 7}, 1e-6);
  expect_near(routing.score, {0.25, 0.625, 0.5, 0.375}, 1e-6);
}

TEST(TopkRouter, TheWeightOfOneExpertAloneIsNotNormalised) {
  Arena arena;
  LayerConfig config = layer_of(3, 1);
  config.norm_topk_prob = true;
  config.routed_scaling_factor = 2;
  expect_near(TopkRouter(config).route(eighths(arena), {}, arena).routing.weight, {1.25, 1}, 1e-6);
}

TEST(TopkRouter, ASigmoidScoresEachExpertByItself) {
  Arena arena;
  LayerConfig config = layer_of(3, 2);
  config.router = RouterKind::kSigmoidTopk;
  config.routed_scaling_factor = 2;
  // e^z of 1, 3, 1/4 and 4, 1/3, 9.
  std::vector<float> logits;
  for (const double x : {1.0, 3.0, 0.25, 4.0, 1 / 3.0, 9.0}) logits.push_back(static_cast<float>(std::log(x)));
  const Tensor z = tensor_of<float>({2, 3}, logits, arena);
  const Routed routed = TopkRouter(config).route(z, {}, arena);
  expect_near(routed.scores, {0.5, 0.75, 0.2, 0.8, 0.25, 0.9}, 1e-6);
  expect_near(routed.score_sum, {1.45, 1.95}, 1e-6);
  EXPECT_EQ(values_of<std::int32_t>(routed.routing.expert), (std::vector<std::int32_t>{0, 1, 0, 2}));
  expect_near(routed.routing.score, {0.5, 0.75, 0.8, 0.9}, 1e-6);
  expect_near(routed.routing.weight, {1, 1.5, 1.6, 1.8}, 1e-6);
  EXPECT_EQ(routed.logsumexp.elements(), 0) << "no loss needs it";
  config.norm_topk_prob = true;
  expect_near(TopkRouter(config).route(z, {}, arena).routing.weight, {0.8, 1.2, 1.6 / 1.7, 1.8 / 1.7}, 1e-6);
}

TEST(TopkRouter, SigmoidsMayAllBeNothing) {
  Arena arena;
  LayerConfig config = layer_of(2, 2);
  config.router = RouterKind::kSigmoidTopk;
  config.norm_topk_prob = true;
  const TopkRouter router(config);
  const Routed routed = router.route(tensor_of<float>({1, 2}, {-200, -300}, arena), {}, arena);
  EXPECT_EQ(values_of<float>(routed.routing.weight), (std::vector<float>{0, 0}));
  const BalanceGradient balance{.score = tensor_of<float>({1, 2}, {1, 2}, arena)};
  const Tensor dlogits = arena.make<float>({1, 2});
  router.backward(routed, tensor_of<float>({2}, {3, -4}, arena), balance, dlogits);
  EXPECT_EQ(values_of<float>(dlogits), (std::vector<float>{0, 0}));
}

TEST(TopkRouter, ATieGoesToTheLowerExpert) {
  Arena arena;
  const Tensor logits = tensor_of<float>({1, 4}, {1, 2, 2, 2}, arena);
  const Routing routing = TopkRouter(layer_of(4, 2)).route(logits, {}, arena).routing;
  EXPECT_EQ(values_of<std::int32_t>(routing.expert), (std::vector<std::int32_t>{1, 2}));
}

TEST(TopkRouter, ABiasMovesTheChoiceAndNotTheWeight) {
  Arena arena;
  // Scores 1/8, 2/8, 5/8 and 4/8, 1/8, 3/8.
  const Tensor bias = tensor_of<float>({3}, {0.25F, 0, -0.5F}, arena);
  const Routed routed = TopkRouter(layer_of(3, 1)).route(eighths(arena), bias, arena);
  expect_near(routed.ranking, {0.375, 0.25, 0.125, 0.75, 0.125, -0.125}, 1e-6);
  EXPECT_EQ(values_of<std::int32_t>(routed.routing.expert), (std::vector<std::int32_t>{0, 0}));
  expect_near(routed.routing.weight, {0.125, 0.5}, 1e-6);
}

TEST(TopkRouter, ChoosesInsideTheGroupsThatAreKept) {
  Arena arena;
  LayerConfig config = layer_of(4, 2);
  config.groups = 2;
  config.groups_kept = 1;
  // Expert 0 is the likeliest, but 2 and 3 together are worth more.
  const Tensor logits = tensor_of<float>({1, 4}, {3, 0, 2.9F, 2.8F}, arena);
  const Routing routing = TopkRouter(config).route(logits, {}, arena).routing;
  EXPECT_EQ(values_of<std::int32_t>(routing.expert), (std::vector<std::int32_t>{2, 3}));
}

TEST(TopkRouter, TheSoftmaxOverOneExpertIsOne) {
  Arena arena;
  const Tensor logits = tensor_of<float>({2, 1}, {-3, 7}, arena);
  const Routed routed = TopkRouter(layer_of(1, 1)).route(logits, {}, arena);
  EXPECT_EQ(values_of<float>(routed.routing.weight), (std::vector<float>{1, 1}));
  const Tensor dlogits = arena.make<float>({2, 1});
  TopkRouter(layer_of(1, 1)).backward(routed, tensor_of<float>({2}, {3, -4}, arena), {}, dlogits);
  EXPECT_EQ(values_of<float>(dlogits), (std::vector<float>{0, 0}));
}

TEST(TopkRouter, ThereMayBeNoTokens) {
  Arena arena;
  const TopkRouter router(layer_of(3, 2));
  const Routed routed = router.route(arena.make<float>({0, 3}), {}, arena);
  EXPECT_EQ(routed.routing.tokens(), 0);
  EXPECT_EQ(routed.routing.choices(), 0);
  router.backward(routed, arena.make<float>({0}), {}, arena.make<float>({0, 3}));
}

constexpr std::array kKinds = {RouterKind::kSoftmaxTopk, RouterKind::kSigmoidTopk};

TEST(TopkRouter, ALogitThatIsNotFiniteIsRefused) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const RouterKind kind : kKinds) {
    LayerConfig config = layer_of(2, 1);
    config.router = kind;
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
      Arena arena;
      const Tensor logits = tensor_of<float>({2, 2}, {1, 2, 1, bad}, arena);
      EXPECT_THAT([&] { TopkRouter(config).route(logits, {}, arena); },
                  testing::Throws<Error>(
                      testing::AllOf(testing::Property(&Error::code, ErrorCode::kNonFinite),
                                     testing::Property(&Error::what, testing::HasSubstr("token 1 is not finite")))));
    }
  }
}

/// sum_j dweight_j w_j of one token as a function of its logits.
double weighted_sum(const LayerConfig& config, const Doubles& logits, const Doubles& dweight) {
  const Doubles s = slow_scores(config.router, logits);
  const auto chosen = slow_topk(s, static_cast<std::size_t>(config.top_k));
  double total = 0, sum = 0;
  for (std::size_t j = 0; j < chosen.size(); ++j) {
    total += s[chosen[j]];
    sum += dweight[j] * s[chosen[j]];
  }
  return config.routed_scaling_factor * sum / (config.norm_topk_prob && config.top_k > 1 ? total : 1);
}

void expect_backward(LayerConfig config, const std::vector<float>& dweight) {
  if (config.router == RouterKind::kSoftmaxTopk) {
    LayerConfig sigmoid = config;
    sigmoid.router = RouterKind::kSigmoidTopk;
    expect_backward(sigmoid, dweight);
  }
  Arena arena;
  std::mt19937 random(5);
  const std::int64_t tokens = std::ssize(dweight) / config.top_k;
  const Tensor logits = random_tensor({tokens, config.experts}, 2, random, arena);
  const auto experts = static_cast<std::size_t>(config.experts), top_k = static_cast<std::size_t>(config.top_k);
  const Doubles at = doubles_of(logits), upstream(dweight.begin(), dweight.end());
  const Doubles expected = slow_gradient(
      [&](const Doubles& z) {
        double sum = 0;
        for (std::size_t t = 0; t < z.size() / experts; ++t) {
          sum += weighted_sum(config, slow_row(z, experts, t), slow_row(upstream, top_k, t));
        }
        return sum;
      },
      at);
  const TopkRouter router(config);
  const Routed routed = router.route(logits, {}, arena);
  const Tensor dlogits = tensor_of<float>({tokens, config.experts}, std::vector<float>(at.size(), 9), arena);
  router.backward(routed, tensor_of<float>({std::ssize(dweight)}, dweight, arena), {}, dlogits);
  expect_near(dlogits, expected, 1e-6);
}

TEST(TopkRouter, GradientsOfScaledWeightsAgreeWithCentralDifferences) {
  LayerConfig config = layer_of(5, 2);
  config.routed_scaling_factor = 1.5F;
  expect_backward(config, {1, -2, 0.5, 3, -1, 0.25});
}

TEST(TopkRouter, GradientsOfNormalisedWeightsAgreeWithCentralDifferences) {
  LayerConfig config = layer_of(5, 3);
  config.norm_topk_prob = true;
  expect_backward(config, {1, -2, 0.5, 3, -1, 0.25});
}

TEST(TopkRouter, GradientsOfNormalisedAndScaledWeightsAgreeWithCentralDifferences) {
  LayerConfig config = layer_of(5, 3);
  config.norm_topk_prob = true;
  config.routed_scaling_factor = 2.5F;
  expect_backward(config, {1, -2, 0.5, 3, -1, 0.25});
  config.top_k = 1;
  expect_backward(config, {1, -2, 0.5});
}

// The caller's gradient of a dropped choice is 0; normalised weights still share out over the choices made.
TEST(TopkRouter, ADroppedChoiceSendsNoGradientOfItsOwn) {
  LayerConfig config = layer_of(4, 2);
  expect_backward(config, {0, -2, 0, 0});
  config.norm_topk_prob = true;
  expect_backward(config, {0, -2, 0, 0});
}

TEST(TopkRouter, GradientsOfBalanceLossesComeOnTop) {
  Arena arena;
  std::mt19937 random(6);
  // Two sequences of two tokens: rows 0 and 1 of the balance gradient are theirs.
  const Doubles score = {0.5, -1, 2, 0, 0.25, -0.75};
  const double z_scale = 0.125;
  const Tensor logits = random_tensor({4, 3}, 2, random, arena);
  for (const RouterKind kind : kKinds) {
    const Doubles expected = slow_gradient(
        [&](const Doubles& z) {
          double loss = 0;
          for (std::size_t t = 0; t < 4; ++t) {
            const Doubles row = slow_row(z, 3, t);
            loss += slow_dot(slow_row(score, 3, t / 2), slow_shares(slow_scores(kind, row)));
            loss += z_scale * std::pow(slow_logsumexp(row), 2);
          }
          return loss;
        },
        doubles_of(logits));
    LayerConfig config = layer_of(3, 1);
    config.router = kind;
    config.z_loss_coeff = 1;
    const TopkRouter router(config);
    const Routed routed = router.route(logits, {}, arena);
    const BalanceGradient balance{.score = tensor_of<float>({2, 3}, {score.begin(), score.end()}, arena),
                                  .z_scale = static_cast<float>(z_scale)};
    const Tensor dlogits = arena.make<float>({4, 3});
    router.backward(routed, arena.zeros<float>({4}), balance, dlogits);
    expect_near(dlogits, expected, 1e-6);
  }
}

}  // namespace
}  // namespace coe
