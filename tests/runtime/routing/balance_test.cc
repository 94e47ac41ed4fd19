#include "runtime/routing/balance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/ranks/share.h"
#include "tests/runtime/routing/routings.h"
#include "tests/runtime/routing/slow_balance.h"

namespace coe {
namespace {

using Counts = std::vector<std::int64_t>;

/// Two sequences of two tokens over three experts; softmax 1/8 2/8 5/8, 4/8 1/8 3/8, 3/8 4/8 1/8 and 5/8 2/8 1/8, so
/// that with K = 1 the choices are 2, 0 and 1, 0. The second token's logits are larger by ln 2.
Tensor two_sequences(Arena& arena) {
  std::vector<float> logits;
  for (const double x : {1, 2, 5, 8, 2, 6, 3, 4, 1, 5, 2, 1}) logits.push_back(static_cast<float>(std::log(x)));
  return tensor_of<float>({4, 3}, logits, arena);
}

LayerConfig three_experts() { return {.experts = 3, .top_k = 1}; }

Batch whole_batch(std::int64_t sequences, std::int64_t length) {
  return {
      .sequences = sequences, .length = length, .group_sequences = sequences, .world_sequences = sequences, .share = 1};
}

Counts counts_of(const Routed& routed) {
  std::vector<std::int32_t> counts(static_cast<std::size_t>(routed.routing.experts));
  count_choices(routed.routing, 0, routed.routing.tokens(), counts);
  return {counts.begin(), counts.end()};
}

struct Balance {
  double loss = 0;
  BalanceGradient gradient;
};

Balance balance_loss(const LayerConfig& config, double l1_coeff, const Routed& routed, const Counts& counts,
                     const Batch& batch, Arena& arena) {
  const Tensor world = tensor_of<std::int64_t>({std::ssize(counts)}, counts, arena), loss = arena.zeros<double>({1});
  const BalanceGradient gradient =
      add_balance_loss(config, {.l1_coeff = l1_coeff}, routed, world, batch, loss, arena, host_stream());
  return {*loss.data<double>(), gradient};
}

double loss_of_two_sequences(const LayerConfig& config, double share = 1) {
  Arena arena;
  const Routed routed = make_router(config)->route(two_sequences(arena), {}, arena);
  Batch batch = whole_batch(2, 2);
  batch.share = share;
  return balance_loss(config, 0, routed, counts_of(routed), batch, arena).loss;
}

TEST(Balance, SequenceLossByHand) {
  LayerConfig config = three_experts();
  config.balance_loss = BalanceLoss::kSequence;
  config.balance_loss_coeff = 0.1F;
  // f is 1.5 0 1.5 and 1.5 1.5 0; mean scores are 5/16 3/16 8/16 and 8/16 6/16 2/16.
  EXPECT_NEAR(loss_of_two_sequences(config), 0.1 * (1.5 * 13 / 16 + 1.5 * 14 / 16) / 2, 1e-7);
  EXPECT_NEAR(loss_of_two_sequences(config, 0.25), 0.1 * (1.5 * 13 / 16 + 1.5 * 14 / 16) / 8, 1e-7);
}

TEST(Balance, BatchLossByHand) {
  LayerConfig config = three_experts();
  config.balance_loss = BalanceLoss::kBatch;
  config.balance_loss_coeff = 0.1F;
  // f is 1.5 0.75 0.75; mean scores are 13/32 9/32 10/32.
  EXPECT_NEAR(loss_of_two_sequences(config), 0.1 * (1.5 * 13 + 0.75 * 9 + 0.75 * 10) / 32, 1e-7);
}

TEST(Balance, ZLossByHand) {
  LayerConfig config = three_experts();
  config.z_loss_coeff = 0.01F;
  const double ln8 = std::log(8.0), ln16 = std::log(16.0);
  EXPECT_NEAR(loss_of_two_sequences(config), 0.01 * (3 * ln8 * ln8 + ln16 * ln16) / 4, 1e-7);
}

TEST(Balance, L1LossByHand) {
  Arena arena;
  LayerConfig config = three_experts();
  config.router = RouterKind::kRelu;
  const Tensor logits = tensor_of<float>({4, 3}, {1, -1, 2, 0.5, 0, -1, -1, -1, -1, 2, 1, 0}, arena);
  const Routed routed = make_router(config)->route(logits, {}, arena);
  const Batch batch = whole_batch(2, 2);
  const Balance balance = balance_loss(config, 0.1, routed, counts_of(routed), batch, arena);
  // n is 3 1 1; the sums are 3.5 1 2.
  EXPECT_NEAR(balance.loss, 0.1 * 3 / 16 * (3 * 3.5 + 1 + 2), 1e-7);
  const Tensor dlogits = arena.make<float>({4, 3});
  make_router(config)->backward(routed, arena.zeros<float>({5}), balance.gradient, dlogits);
  const double one = 0.1 * 3 / 16;
  expect_near(dlogits, {3 * one, 0, one, 3 * one, 0, 0, 0, 0, 0, 3 * one, one, 0}, 1e-7);
}

TEST(Balance, OnlyBatchAndL1LossesNeedCountsOfTheWorld) {
  LayerConfig config = three_experts();
  EXPECT_FALSE(needs_world_counts(config));
  config.balance_loss = BalanceLoss::kSequence;
  EXPECT_FALSE(needs_world_counts(config));
  config.balance_loss = BalanceLoss::kBatch;
  EXPECT_TRUE(needs_world_counts(config));
  config = three_experts();
  config.router = RouterKind::kRelu;
  EXPECT_TRUE(needs_world_counts(config));
}

TEST(Balance, WithoutTokensThereIsNoLoss) {
  Arena arena;
  LayerConfig config = three_experts();
  config.balance_loss = BalanceLoss::kSequence;
  config.balance_loss_coeff = config.z_loss_coeff = 0.1F;
  const Routed routed = make_router(config)->route(arena.make<float>({0, 3}), {}, arena);
  EXPECT_EQ(balance_loss(config, 0, routed, {}, whole_batch(0, 2), arena).loss, 0.0);
}

std::vector<LayerConfig> topk_losses() {
  std::vector<LayerConfig> configs(4, {.experts = 5, .top_k = 2});
  configs[0].balance_loss = BalanceLoss::kSequence;
  configs[1].balance_loss = BalanceLoss::kBatch;
  configs[2].z_loss_coeff = 0.125F;
  configs[3].balance_loss = BalanceLoss::kSequence;
  configs[3].z_loss_coeff = 0.25F;
  for (LayerConfig& config : configs) config.balance_loss_coeff = 0.5F;
  for (std::size_t i = 0; i < 4; ++i) {
    configs.push_back(configs[i]);
    configs.back().router = RouterKind::kSigmoidTopk;
  }
  return configs;
}

TEST(Balance, LossesAndGradientsAgreeWithCentralDifferences) {
  for (const LayerConfig& config : topk_losses()) {
    Arena arena;
    std::mt19937 random(11);
    const Tensor logits = random_tensor({12, 5}, 2, random, arena);
    const Doubles at = doubles_of(logits);
    const auto router = make_router(config);
    const Routed routed = router->route(logits, {}, arena);
    const Balance balance = balance_loss(config, 0, routed, counts_of(routed), whole_batch(3, 4), arena);
    EXPECT_NEAR(balance.loss, slow_balance(config, 4, 0, at), 1e-6);
    const Tensor dlogits = arena.make<float>({12, 5});
    router->backward(routed, arena.zeros<float>({24}), balance.gradient, dlogits);
    expect_near(dlogits, slow_gradient([&](const Doubles& z) { return slow_balance(config, 4, 0, z); }, at), 1e-6);
  }
}

/// Loss and gradients of sequences [first, first + count) of three, on a rank that knows the counts of all.
std::pair<double, std::vector<float>> part_of_loss(const LayerConfig& config, const Tensor& logits,
                                                   const Counts& counts, std::int64_t first, std::int64_t count) {
  Arena arena;
  Batch batch = whole_batch(3, 4);
  batch.first_sequence = first;
  batch.sequences = count;
  const auto router = make_router(config);
  const Routed routed = router->route(logits.rows(4 * first, 4 * count), {}, arena);
  const Balance balance = balance_loss(config, 0.5, routed, counts, batch, arena);
  const Tensor dlogits = arena.make<float>({4 * count, config.experts});
  router->backward(routed, arena.zeros<float>({routed.routing.choices()}), balance.gradient, dlogits);
  return {balance.loss, values_of<float>(dlogits)};
}

TEST(Balance, PartsOfRanksAddUpToTheWholeLoss) {
  std::vector<LayerConfig> configs = topk_losses();
  configs.push_back({.experts = 5, .top_k = 2, .router = RouterKind::kRelu});
  for (const LayerConfig& config : configs) {
    Arena arena;
    std::mt19937 random(12);
    const Tensor logits = random_tensor({12, 5}, 2, random, arena);
    const Counts counts = counts_of(make_router(config)->route(logits, {}, arena));
    const auto [whole, gradients] = part_of_loss(config, logits, counts, 0, 3);
    double sum = 0;
    std::vector<float> pieces;
    for (const Share& share : {Share{0, 2}, Share{2, 0}, Share{2, 1}}) {
      const auto [part, piece] = part_of_loss(config, logits, counts, share.first, share.count);
      sum += part;
      pieces.insert(pieces.end(), piece.begin(), piece.end());
    }
    EXPECT_NEAR(sum, whole, 1e-12 * std::abs(whole));
    EXPECT_EQ(pieces, gradients);
  }
}

}  // namespace
}  // namespace coe
