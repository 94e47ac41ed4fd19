#include <gtest/gtest.h>

#include "runtime/layer/chain_layer.h"
#include "tests/ranks.h"
#include "tests/runtime/layer/chain_cases.h"

namespace coe {
namespace {

TEST(ChainLayerOnRanks, BitsDoNotDependOnTheNumberOfRanks) {
  for (const NamedLayer& named : layers_of(24, 16, 10)) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 5, 7);
    const ChainResult reference = result_of_one_rank(chain);
    for_each_ranks([&](Transport& world) { expect_same_bits(ChainRun(chain, world).run(), reference); });
  }
}

TEST(ChainLayerOnRanks, RowsCopiedOnceGiveTheBitsOfTheReference) {
  for (const NamedLayer& named : layers_of(24, 16, 10)) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 5, 7);
    for_each_ranks([&](Transport& world) {
      const ChainResult once = ChainRun(chain, world).run(),
                        reference = ChainRun(chain, world, 0, {.by_reference = true}).run();
      expect_same_bits(once, reference);
      EXPECT_EQ(once.counters[0].bytes_sent, reference.counters[0].bytes_sent);
    });
  }
}

TEST(ChainLayerOnRanks, BitsDoNotDependOnWhoHoldsWhichExpert) {
  for (const NamedLayer& named : layers_of(8, 6, 7)) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 7, 3);
    for_each_ranks([&](Transport& world) {
      const ChainResult contiguous = ChainRun(chain, world).run(),
                        shuffled = ChainRun(chain, world, 0, {.shuffled = true}).run();
      EXPECT_EQ(shuffled.y, contiguous.y);
      EXPECT_EQ(shuffled.dx, contiguous.dx);
      EXPECT_EQ(shuffled.expert_gradients, contiguous.expert_gradients);
      EXPECT_EQ(shuffled.replicated_gradients, contiguous.replicated_gradients);
    });
  }
}

TEST(ChainLayerOnRanks, ChunksKeepBitsAndExpertGradientsToOneMillionth) {
  for (const NamedLayer& named : layers_of(8, 6, 7)) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 7, 3);
    const ChainResult whole = result_of_one_rank(chain);
    for (const int chunks : {2, 3, 9}) {  // 9 are more than any rank has sequences
      for_each_ranks([&](Transport& world) {
        const ChainResult result = ChainRun(chain, world, 0, {.chunks = chunks}).run();
        EXPECT_EQ(result.y, whole.y);
        EXPECT_EQ(result.dx, whole.dx);
        expect_near(result.expert_gradients, widened(whole.expert_gradients), "expert gradients", 1e-6);
        expect_near(result.replicated_gradients, widened(whole.replicated_gradients), "replicated gradients", 1e-6);
        EXPECT_NEAR(result.balance, whole.balance, 1e-9);
        for (std::size_t t = 0; t < whole.counters.size(); ++t) {
          EXPECT_EQ(result.counters[t].load, whole.counters[t].load);
          EXPECT_EQ(result.counters[t].dropped, whole.counters[t].dropped);
        }
      });
    }
  }
}

// A flight is under way from its begin to its arrival, and from its way back to its return: experts of one chunk run in
// between "arrived" and "back", and must lie inside the other's flight.
TEST(ChainLayerOnRanks, OneChunksExpertsRunInsideTheOthersExchange) {
  const ChainCase chain =
      random_chain_case({.hidden = 4, .expert_hidden = 3, .experts = 5, .top_k = 2, .iterations = 2}, 14, 3);
  for_each_ranks([&](Transport& world) {
    ChainRun run(chain, world, 0, {.chunks = 2, .logged = true});
    run.forward(nullptr);
    const auto& log = dynamic_cast<const LoggedExchange&>(run.exchange()).log();
    // Flights 0 and 1 are the chunks' first iteration, 2 and 3 their second.
    const std::vector<std::string> wanted = {
        "begin 0", "begin 1", "arrived 0", "back 0", "arrived 1", "back 1", "returned 0", "returned 1",
        "begin 2", "begin 3", "arrived 2", "back 2", "arrived 3", "back 3", "returned 2", "returned 3"};
    EXPECT_EQ(log, wanted);
  });
}

TEST(ChainLayerOnRanks, SumsOfEachRankFirstAreNearTheExactOnes) {
  std::vector<NamedLayer> layers = layers_of(24, 16, 10);
  layers.push_back({"rerouted by probability, padded", layers.front().layer});
  LayerConfig& layer = layers.back().layer;
  layer.drop_policy = DropPolicy::kProbability;
  layer.capacity_factor = 0.75;
  layer.reroute_rounds = 2;
  layer.pad_to_capacity = true;
  for (const NamedLayer& named : layers) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 5, 7);
    for_each_ranks([&](Transport& world) {
      const ChainResult exact = ChainRun(chain, world).run();
      for (const int chunks : {1, 2}) {
        expect_near(ChainRun(chain, world, 0, {.order = ExchangeOrder::kPartialSums, .chunks = chunks}).run(), exact);
      }
    });
  }
}

TEST(ChainLayerOnRanks, ForwardAloneGivesTheSameBits) {
  for (const NamedLayer& named : layers_of(8, 6, 5)) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 5, 3);
    for_each_ranks([&](Transport& world) {
      ChainRun first(chain, world), second(chain, world);
      ChainSaved saved;
      const ChainOutput trained = first.forward(&saved), alone = second.forward(nullptr);
      EXPECT_EQ(values_of<float>(alone.y), values_of<float>(trained.y));
      EXPECT_EQ(*alone.balance_loss.data<double>(), *trained.balance_loss.data<double>());
    });
  }
}

}  // namespace
}  // namespace coe
