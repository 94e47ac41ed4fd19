#include "runtime/layer/layer_size.h"

#include <gtest/gtest.h>

#include "runtime/exchange/one_copy_exchange.h"
#include "tests/node_transport.h"
#include "tests/ranks.h"
#include "tests/runtime/layer/chain_run.h"

namespace coe {
namespace {

constexpr LayerConfig kTopK{.hidden = 32, .expert_hidden = 16, .experts = 8, .top_k = 2, .iterations = 2};

TEST(LayerSize, RowsAreAnEvenShareAndASixteenth) {
  EXPECT_EQ(layer_size(kTopK, {.tokens = 160, .ranks = 2}).rows, 320 + 20);
  EXPECT_EQ(layer_size(kTopK, {.tokens = 160, .ranks = 1}).rows, 320) << "there are no more choices";
  EXPECT_EQ(layer_size(kTopK, {.tokens = 160, .ranks = 4, .learning = true}).rows, 640) << "twice the share";
  EXPECT_EQ(layer_size(kTopK, {.tokens = 160, .ranks = 1, .learning = true}).rows, 320) << "there are no more choices";
  LayerConfig relu = kTopK;
  relu.router = RouterKind::kRelu;
  for (const bool learning : {true, false})
    EXPECT_EQ(layer_size(relu, {.tokens = 160, .ranks = 2, .learning = learning}).rows, 640 + 40);
  EXPECT_EQ(layer_size(kTopK, {.tokens = 0, .ranks = 2}).rows, 0);
}

TEST(LayerSize, CapacityIsTheMostThatRowsCanBe) {
  LayerConfig layer = kTopK;
  layer.drop_policy = DropPolicy::kPosition;
  layer.capacity_factor = 1.25;
  EXPECT_EQ(layer_size(layer, {.tokens = 160, .ranks = 2}).rows, 4 * 100);
  layer.capacity_scope = CapacityScope::kRank;
  EXPECT_EQ(layer_size(layer, {.tokens = 160, .ranks = 2}).rows, 4 * 101) << "each rank of its own rounds up";
  layer.capacity_factor = 100;
  EXPECT_EQ(layer_size(layer, {.tokens = 160, .ranks = 2}).rows, 640) << "there are no more choices";
  layer.pad_to_capacity = true;
  EXPECT_EQ(layer_size(layer, {.tokens = 160, .ranks = 2}).rows, 4 * (8000 + 1)) << "padding comes on top";
}

TEST(LayerSize, WindowsCountTheirPlaces) {
  const std::size_t place = 340 * 33 * sizeof(float);
  EXPECT_EQ(layer_size(kTopK, {.tokens = 160, .ranks = 2, .in_flight = 2}).window_bytes, 6 * place);
  EXPECT_EQ(layer_size(kTopK, {.tokens = 160, .ranks = 2, .in_flight = 2, .backward = false}).window_bytes, 4 * place);
}

TEST(LayerSizeOnRanks, MailOfRanksOnOtherNodesIsCounted) {
  on_ranks(4, [](Transport& world) {
    NodeTransport nodes(world, 2);
    ChainRun run(random_chain_case(kTopK, 8, 64), nodes);
    run.run();
    const std::int64_t tokens = run.batch().tokens();
    const LayerSize size = layer_size(kTopK, {.tokens = tokens, .ranks = 4, .elsewhere = 2, .in_flight = 2});
    const std::size_t choices = static_cast<std::size_t>(tokens * 2) * 33 * sizeof(float);
    EXPECT_EQ(size.mail_bytes, choices) << "twice the half of all choices";
    const std::size_t taken = dynamic_cast<const OneCopyExchange&>(run.exchange()).mail_bytes();
    // Two flights' worth for any number of iterations, forward and backward; buffers may have doubled.
    EXPECT_LE(taken, 4 * choices);
    EXPECT_EQ(taken > 0, tokens > 0);
  });
}

TEST(LayerSize, PackedWeightsAreCopies) {
  EXPECT_EQ(layer_size(kTopK, {.tokens = 160, .ranks = 2}).packed_bytes, 0U);
  EXPECT_EQ(layer_size(kTopK, {.tokens = 160, .ranks = 2, .packed = true}).packed_bytes,
            4 * 3 * 32 * 16 * sizeof(float));
}

/// Whether a layer on one rank needs more than `share` of the Arena that the hint asks for.
bool grows_beyond(double share, const LayerConfig& layer, bool backward) {
  bool grew = false;
  on_ranks(1, [&](Transport& world) {
    ChainRun run(random_chain_case(layer, 8, 64), world);
    const LayerSize hint = layer_size(layer, {.tokens = run.batch().tokens(), .backward = backward});
    Arena arena(static_cast<std::size_t>(share * static_cast<double>(hint.arena_bytes)));
    ChainSaved saved;
    run.layer().forward(run.dy(), run.batch(), {}, backward ? &saved : nullptr, arena);
    const Tensor dx = run.arena().make<float>(run.dy().shape());
    if (backward) run.layer().backward(run.dy(), saved, dx, arena);
    grew = arena.growths() > 0;
  });
  return grew;
}

TEST(LayerSize, ArenaBytesAreWithinATenthOfWhatALayerTakes) {
  LayerConfig wide = kTopK, normed = kTopK, shared = kTopK, sigmoid = kTopK;
  sigmoid.router = RouterKind::kSigmoidTopk;
  sigmoid.z_loss_coeff = 0.1F;
  wide.expert_hidden = 48;
  wide.iterations = 3;
  normed.iteration_norm = true;
  normed.router_bias = true;
  shared.shared_experts = 2;
  for (const LayerConfig& layer : {kTopK, wide, normed, shared, sigmoid}) {
    for (const bool backward : {true, false}) {
      EXPECT_FALSE(grows_beyond(1.05, layer, backward)) << layer.iterations << backward;
      EXPECT_TRUE(grows_beyond(0.9, layer, backward)) << layer.iterations << backward;
    }
  }
}

TEST(LayerSize, MostRowsAreThoseOfTheWorstRouting) {
  LayerConfig layer{.hidden = 20, .expert_hidden = 12, .experts = 9, .top_k = 3, .iterations = 2};
  EXPECT_EQ(most_rows(layer, Placement(9, 1), 40), 120);
  layer.router = RouterKind::kRelu;
  EXPECT_EQ(most_rows(layer, Placement(9, 4), 40), 120);  // 3 experts of a rank take every token
  layer.drop_policy = DropPolicy::kPosition;
  layer.capacity_factor = 1;  // ceil(40 * 3 / 9) = 14 rows each
  EXPECT_EQ(most_rows(layer, Placement(9, 4), 40), 42);
  EXPECT_EQ(most_rows(layer, Placement(9, 4), 8), 9);  // each takes 3
  layer.capacity_factor = 9;
  EXPECT_EQ(most_rows(layer, Placement(9, 4), 8), 24);
  layer.pad_to_capacity = true;
  EXPECT_EQ(most_rows(layer, Placement(9, 4), 8), 3 * 24);
}

}  // namespace
}  // namespace coe
