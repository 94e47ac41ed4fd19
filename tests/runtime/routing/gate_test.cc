#include "runtime/routing/gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "runtime/routing/topk_router.h"
#include "tests/runtime/routing/oracle.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

constexpr std::int64_t kHidden = 4, kExperts = 5, kTopK = 2, kLength = 3, kTokens = 6;

const LayerConfig kLayer{.hidden = kHidden, .experts = kExperts, .top_k = kTopK};

/// sum_j dweight_j w_j over all tokens.
double slow_loss(const Doubles& x, const Doubles& weight, const Doubles& dweight) {
  double loss = 0;
  for (std::size_t t = 0; t < kTokens; ++t) {
    const Doubles s = slow_softmax(slow_product(weight, slow_row(x, kHidden, t)));
    const auto chosen = slow_topk(s, kTopK);
    for (std::size_t j = 0; j < chosen.size(); ++j) loss += dweight[t * kTopK + j] * s[chosen[j]];
  }
  return loss;
}

TEST(Gate, GradientsAgreeWithCentralDifferencesAndAddUp) {
  Arena arena;
  std::mt19937 random(1);
  const Tensor x = random_tensor({kTokens, kHidden}, 1, random, arena);
  const Tensor weight = random_tensor({kExperts, kHidden}, 1, random, arena);
  const Tensor dweight = random_tensor({kTokens * kTopK}, 1, random, arena);
  const Tensor gradient = tensor_of<float>(weight.shape(), std::vector<float>(kExperts * kHidden, 2), arena);
  const Tensor dx = tensor_of<float>(x.shape(), std::vector<float>(kTokens * kHidden, 3), arena);
  const TopkRouter router(kLayer);
  const Gate gate(kLayer, 0, 0, {.weight = {weight, gradient}, .noise = {}, .bias = {}}, router);
  const Batch batch{.sequences = kTokens / kLength, .length = kLength};
  GateSaved saved;
  const Routed routed = gate.forward(x, batch, {}, saved, arena);
  gate.backward(batch, saved, routed, dweight, {}, dx, arena);

  const Doubles d = doubles_of(dweight), at_x = doubles_of(x), at_weight = doubles_of(weight);
  Doubles expected_dx = slow_gradient([&](const Doubles& moved) { return slow_loss(moved, at_weight, d); }, at_x);
  Doubles expected_dw = slow_gradient([&](const Doubles& moved) { return slow_loss(at_x, moved, d); }, at_weight);
  for (double& value : expected_dx) value += 3;
  for (double& value : expected_dw) value += 2;
  expect_near(dx, expected_dx, 2e-6);
  expect_near(gradient, expected_dw, 2e-6);
}

TEST(Gate, BitsOfASequenceDoNotDependOnItsNeighbours) {
  Arena arena;
  std::mt19937 random(2);
  constexpr std::int64_t kWide = 40, kMany = 20, kLong = 7;
  const LayerConfig layer{.hidden = kWide, .experts = kMany, .top_k = kTopK};
  const TopkRouter router(layer);
  const Tensor weight = random_tensor({kMany, kWide}, 1, random, arena);
  const Tensor gradient = arena.zeros<float>(weight.shape());
  const Gate gate(layer, 0, 0, {.weight = {weight, gradient}, .noise = {}, .bias = {}}, router);
  const Tensor x = random_tensor({3 * kLong, kWide}, 1, random, arena);
  const Tensor dweight = random_tensor({3 * kLong * kTopK}, 1, random, arena);
  const auto bits_of = [&](std::int64_t first, std::int64_t count) {
    const Tensor rows = x.rows(first, count), dx = arena.zeros<float>(rows.shape());
    const Batch batch{.sequences = count / kLong, .length = kLong};
    GateSaved saved;
    const Routed routed = gate.forward(rows, batch, {}, saved, arena);
    gate.backward(batch, saved, routed, dweight.rows(first * kTopK, count * kTopK), {}, dx, arena);
    return std::pair(values_of<float>(routed.scores), values_of<float>(dx));
  };
  const auto [scores, dx] = bits_of(0, 3 * kLong);
  const auto [middle_scores, middle_dx] = bits_of(kLong, kLong);
  EXPECT_TRUE(std::ranges::equal(middle_scores, std::span(scores).subspan(kLong * kMany, kLong * kMany)));
  EXPECT_TRUE(std::ranges::equal(middle_dx, std::span(dx).subspan(kLong * kWide, kLong * kWide)));
}

TEST(Gate, TokensWithLogitsThatAreNotFiniteAreRoutedAsIfAllWereZeroAndTold) {
  Arena arena;
  std::mt19937 random(3);
  const TopkRouter router(kLayer);
  const Tensor weight = random_tensor({kExperts, kHidden}, 1, random, arena);
  const Gate gate(kLayer, 0, 0, {.weight = {weight, {}}, .noise = {}, .bias = {}}, router);
  const Tensor x = random_tensor({kTokens, kHidden}, 1, random, arena);
  const Batch batch{.sequences = kTokens / kLength, .length = kLength};
  GateSaved saved;
  const Routed all_finite = gate.forward(x, batch, {}, saved, arena);
  EXPECT_EQ(*all_finite.lost.data<std::int32_t>(), cuda::kNoneLost);
  for (const std::int64_t token : {4, 2}) x.data<float>()[token * kHidden] = std::numeric_limits<float>::infinity();
  const Routed routed = gate.forward(x, batch, {}, saved, arena);
  EXPECT_EQ(*routed.lost.data<std::int32_t>(), 2);
  for (std::int64_t expert = 0; expert < kExperts; ++expert)
    EXPECT_FLOAT_EQ(routed.scores.data<float>()[2 * kExperts + expert], 0.2F);
}

/// Scores, choices, weights and counts of a gate with noise, jitter and a bias, where tokens come in blocks of `block`.
std::vector<float> routed_in_blocks(RouterKind kind, std::int64_t block) {
  Arena arena;
  std::mt19937 random(4);
  LayerConfig layer = kLayer;
  layer.router = kind;
  layer.router_jitter = 0.1F;
  const std::unique_ptr<Router> router = make_router(layer);
  const Shape shape{kExperts, kHidden};
  const TrainedTensor weight{random_tensor(shape, 1, random, arena), {}};
  const TrainedTensor noise{random_tensor(shape, 1, random, arena), {}};
  const Tensor bias = random_tensor({kExperts}, 0.1F, random, arena);
  const Gate gate(layer, 0, 0, {.weight = weight, .noise = noise, .bias = bias}, *router);
  const Tensor x = random_tensor({kTokens, kHidden}, 1, random, arena);
  const Tensor late = arena.make<float>(x.shape());
  GateSaved saved;
  const RoutingContext context{.random = StepRandom{.seed = 1}};
  GateForward pass =
      gate.begin_forward(late, {.sequences = kTokens / kLength, .length = kLength}, context, saved, arena);
  for (std::int64_t first = 0; first < kTokens; first += block) {
    const std::int64_t count = std::min(block, kTokens - first);
    std::ranges::copy(x.rows(first, count).span<float>(), late.rows(first, count).data<float>());
    gate.route(pass, late, first, count, saved, arena);
  }
  const Routed routed = gate.finish_forward(pass, arena);
  std::vector<float> all = values_of<float>(routed.scores);
  const auto append = [&](const auto& values) { all.insert(all.end(), values.begin(), values.end()); };
  append(values_of<float>(routed.routing.weight));
  append(values_of<std::int32_t>(routed.routing.offsets));
  append(values_of<std::int32_t>(routed.routing.expert));
  append(values_of<std::int32_t>(routed.counts));
  append(values_of<float>(saved.x));
  append(values_of<float>(saved.noise_slope));
  return all;
}

TEST(Gate, BitsDoNotDependOnTheBlocksThatTokensComeIn) {
  for (const RouterKind kind : {RouterKind::kSoftmaxTopk, RouterKind::kSigmoidTopk, RouterKind::kRelu}) {
    const std::vector<float> whole = routed_in_blocks(kind, kTokens);
    for (const std::int64_t block : {1, 4, 5}) EXPECT_EQ(routed_in_blocks(kind, block), whole) << block;
  }
}

TEST(Gate, ThereMayBeNoTokens) {
  Arena arena;
  const TopkRouter router(kLayer);
  const Tensor gradient = arena.zeros<float>({kExperts, kHidden});
  const TrainedTensor weight{arena.zeros<float>({kExperts, kHidden}), gradient};
  const Gate gate(kLayer, 0, 0, {.weight = weight, .noise = {}, .bias = {}}, router);
  const Tensor x = arena.make<float>({0, kHidden});
  GateSaved saved;
  const Routed routed = gate.forward(x, {.length = kLength}, {}, saved, arena);
  EXPECT_EQ(routed.routing.tokens(), 0);
  gate.backward({.length = kLength}, saved, routed, arena.make<float>({0}), {}, arena.make<float>({0, kHidden}), arena);
  EXPECT_EQ(values_of<float>(gradient), std::vector<float>(kExperts * kHidden, 0));
}

}  // namespace
}  // namespace coe
