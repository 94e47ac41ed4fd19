#include "runtime/routing/relu_router.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/memory/error.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

TEST(ReluRouter, ChoosesWhatIsPositiveAndWeighsByIt) {
  Arena arena;
  const Tensor logits = tensor_of<float>({3, 4},
                                         {1, -2, 0.5, 0,     //
                                          -1, -1, -0.5, -3,  //
                                          2, 3, 0.25, 4},
                                         arena);
  const Routed routed = ReluRouter().route(logits, {}, arena);
  const Routing& routing = routed.routing;
  EXPECT_EQ(routing.experts, 4);
  EXPECT_EQ(values_of<std::int32_t>(routing.offsets), (std::vector<std::int32_t>{0, 2, 2, 6}));
  EXPECT_EQ(values_of<std::int32_t>(routing.expert), (std::vector<std::int32_t>{0, 2, 0, 1, 2, 3}));
  EXPECT_EQ(values_of<float>(routing.weight), (std::vector<float>{1, 0.5, 2, 3, 0.25, 4}));
  EXPECT_EQ(values_of<float>(routing.score), values_of<float>(routing.weight));
  EXPECT_EQ(values_of<std::uint8_t>(routing.kept), std::vector<std::uint8_t>(6, 1));
  EXPECT_EQ(values_of<float>(routed.scores), (std::vector<float>{1, 0, 0.5, 0, 0, 0, 0, 0, 2, 3, 0.25, 4}));
  EXPECT_EQ(routed.logsumexp.elements(), 0);
}

TEST(ReluRouter, NoTokenNeedsAnExpert) {
  Arena arena;
  const Tensor logits = tensor_of<float>({2, 3}, {-1, 0, -2, -3, -1, 0}, arena);
  const Routed routed = ReluRouter().route(logits, {}, arena);
  EXPECT_EQ(routed.routing.tokens(), 2);
  EXPECT_EQ(routed.routing.choices(), 0);
  EXPECT_EQ(values_of<std::int32_t>(routed.routing.offsets), (std::vector<std::int32_t>{0, 0, 0}));
  const Tensor dlogits = tensor_of<float>({2, 3}, {9, 9, 9, 9, 9, 9}, arena);
  ReluRouter().backward(routed, arena.make<float>({0}), {}, dlogits);
  EXPECT_EQ(values_of<float>(dlogits), std::vector<float>(6, 0));
}

TEST(ReluRouter, ThereMayBeNoTokens) {
  Arena arena;
  const Routed routed = ReluRouter().route(arena.make<float>({0, 3}), {}, arena);
  EXPECT_EQ(routed.routing.tokens(), 0);
  EXPECT_EQ(routed.routing.choices(), 0);
}

TEST(ReluRouter, GradientsPassWhereTheOutputIsPositive) {
  Arena arena;
  const Tensor logits = tensor_of<float>({2, 3}, {1, -2, 3, -1, 4, 0}, arena);
  const Routed routed = ReluRouter().route(logits, {}, arena);
  const Tensor dweight = tensor_of<float>({3}, {10, 20, 30}, arena);
  const Tensor dlogits = tensor_of<float>({2, 3}, {9, 9, 9, 9, 9, 9}, arena);
  ReluRouter().backward(routed, dweight, {}, dlogits);
  EXPECT_EQ(values_of<float>(dlogits), (std::vector<float>{10, 0, 20, 0, 30, 0}));
}

TEST(ReluRouter, TheL1GradientReachesDroppedChoicesToo) {
  Arena arena;
  const Tensor logits = tensor_of<float>({2, 2}, {1, -2, 3, 4}, arena);
  const Routed routed = ReluRouter().route(logits, {}, arena);
  // The choice (token 1, expert 0) was dropped: no gradient comes back from its expert.
  const Tensor dweight = tensor_of<float>({3}, {10, 0, 30}, arena);
  const BalanceGradient balance{.score = tensor_of<float>({1, 2}, {0.5, 0.25}, arena)};
  const Tensor dlogits = arena.make<float>({2, 2});
  ReluRouter().backward(routed, dweight, balance, dlogits);
  EXPECT_EQ(values_of<float>(dlogits), (std::vector<float>{10.5, 0, 0.5, 30.25}));
}

TEST(ReluRouter, ALogitThatIsNotFiniteIsRefused) {
  Arena arena;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    try {
      ReluRouter().route(tensor_of<float>({1, 2}, {1, bad}, arena), {}, arena);
      ADD_FAILURE() << bad << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
    }
  }
}

LayerConfig two_of_eight(float l1_coeff) { return {.experts = 8, .top_k = 2, .l1_coeff = l1_coeff}; }

TEST(NextL1Coeff, RisesWhileTooFewPairsAreZero) {
  const LayerConfig layer = two_of_eight(1e-8F);
  EXPECT_DOUBLE_EQ(next_l1_coeff(layer, 0.5, 0.74), 0.6);
  EXPECT_DOUBLE_EQ(next_l1_coeff(layer, 0.6, 0.75), 0.5);
}

TEST(NextL1Coeff, StaysWithinItsBounds) {
  const LayerConfig layer = two_of_eight(1e-8F);
  double low = 1e-8, high = 1e-8;
  for (int step = 0; step < 5000; ++step) low = next_l1_coeff(layer, low, 1);
  for (int step = 0; step < 5000; ++step) high = next_l1_coeff(layer, high, 0);
  EXPECT_NEAR(low, 1e-8, 1e-15);
  EXPECT_EQ(high, 1e4);
  EXPECT_EQ(next_l1_coeff(layer, 1e-323, 0), low) << "a run of before is back at once";
  EXPECT_NEAR(next_l1_coeff(two_of_eight(2), 2e-8, 1), 2e-8 / 1.2, 1e-15) << "what it began with is no bound below";
}

TEST(NextL1Coeff, MayBeginLowerOrNotAtAll) {
  EXPECT_EQ(next_l1_coeff(two_of_eight(0), 0, 0), 0);
  const LayerConfig layer = two_of_eight(1e-10F);
  EXPECT_NEAR(next_l1_coeff(layer, 1e-10, 1), 1e-10, 1e-17);
  EXPECT_NEAR(next_l1_coeff(layer, 1e-10, 0), 1.2e-10, 1e-17);
}

}  // namespace
}  // namespace coe
