#include "runtime/routing/reroute.h"

#include <gtest/gtest.h>

#include "runtime/routing/topk_router.h"
#include "tests/ranks.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/admitted.h"
#include "tests/runtime/routing/slow_admission.h"

namespace coe {
namespace {

constexpr std::int64_t kTokens = 30, kExperts = 8;

LayerConfig layer_of(DropPolicy policy, double factor, std::int64_t rounds) {
  LayerConfig layer{.experts = kExperts, .top_k = 2, .drop_policy = policy, .capacity_factor = factor};
  layer.reroute_rounds = rounds;
  return layer;
}

/// Skewed, so that the first experts are crowded.
Tensor random_logits(unsigned seed, Arena& arena) {
  std::mt19937 random(seed);
  const Tensor logits = random_tensor({kTokens, kExperts}, 1, random, arena);
  for (std::int64_t i = 0; i < logits.elements(); ++i) {
    logits.data<float>()[i] -= 0.5F * static_cast<float>(i % kExperts);
  }
  return logits;
}

Choices choices_of(const Routing& routing) {
  Choices tokens(static_cast<std::size_t>(routing.tokens()));
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    for (auto j = routing.offsets.data<std::int32_t>()[t]; j < routing.offsets.data<std::int32_t>()[t + 1]; ++j) {
      tokens[t].push_back({routing.expert.data<std::int32_t>()[j], static_cast<double>(routing.weight.data<float>()[j]),
                           static_cast<double>(routing.score.data<float>()[j]),
                           routing.kept.data<std::uint8_t>()[j] != 0, routing.chosen.data<std::uint8_t>()[j] != 0});
    }
  }
  return tokens;
}

std::vector<RankedToken> ranked_tokens(const Routed& routed) {
  std::vector<RankedToken> tokens;
  const Doubles scores = doubles_of(routed.scores);
  Doubles ranking = doubles_of(routed.ranking);
  for (double& value : ranking) {
    if (value == static_cast<double>(kClosed)) value = -std::numeric_limits<double>::infinity();
  }
  for (std::size_t t = 0; t < kTokens; ++t) {
    tokens.push_back({slow_row(scores, kExperts, t), slow_row(ranking, kExperts, t)});
  }
  return tokens;
}

/// The ranking that the bias of its expert moves.
const std::vector<float> kBias = {0, 0.1F, -0.1F, 0, 0.05F, 0.2F, 0, -0.05F};

void expect_rerouting(const LayerConfig& config, unsigned seed, Transport& world) {
  Arena arena;
  const TopkRouter router(config);
  const Tensor bias = tensor_of<float>({kExperts}, kBias, arena);
  const Routed all = router.route(random_logits(seed, arena), bias, arena);
  const std::vector<Choices> before = deal_unevenly(choices_of(all.routing), world.size());
  const Share mine = uneven_shares(kTokens, world.size())[static_cast<std::size_t>(world.rank())];
  const Routed routed = router.route(random_logits(seed, arena).rows(mine.first, mine.count), bias, arena);
  const Tensor counts = table_of(before, kExperts, false, arena);
  const Routing routing = admitted(config, kTokens, routed, counts, {&world}, arena);

  Choices expected = choices_of(all.routing);
  slow_admission(config, ranked_tokens(all), expected);
  const std::vector<Choices> after = deal_unevenly(expected, world.size());
  const Routing wanted = routing_of(kExperts, after[static_cast<std::size_t>(world.rank())], arena);
  EXPECT_EQ(values_of<std::int32_t>(routing.offsets), values_of<std::int32_t>(wanted.offsets));
  EXPECT_EQ(values_of<std::int32_t>(routing.expert), values_of<std::int32_t>(wanted.expert));
  EXPECT_EQ(values_of<std::uint8_t>(routing.kept), values_of<std::uint8_t>(wanted.kept));
  EXPECT_EQ(values_of<std::uint8_t>(routing.chosen), values_of<std::uint8_t>(wanted.chosen));
  EXPECT_EQ(values_of<float>(routing.score), values_of<float>(wanted.score));
  EXPECT_EQ(values_of<std::int32_t>(counts), values_of<std::int32_t>(table_of(after, kExperts, true, arena)));
}

void expect_rerouting_at_any_ranks(DropPolicy policy) {
  for_each_ranks([&](Transport& world) {
    for (unsigned seed = 0; seed < 10; ++seed) {
      SCOPED_TRACE(seed);
      for (const std::int64_t rounds : {1, 2, 8}) {
        for (const double factor : {0.1, 0.75, 1.0, 1.5}) {
          expect_rerouting(layer_of(policy, factor, rounds), seed, world);
        }
      }
    }
  });
}

TEST(RerouteOnRanks, ByPositionAgreesWithTheSlowWay) { expect_rerouting_at_any_ranks(DropPolicy::kPosition); }

TEST(RerouteOnRanks, ByProbabilityAgreesWithTheSlowWay) { expect_rerouting_at_any_ranks(DropPolicy::kProbability); }

TEST(RerouteOnRanks, StaysInsideTheGroupsOfTheToken) {
  for_each_ranks([&](Transport& world) {
    LayerConfig config = layer_of(DropPolicy::kPosition, 0.75, 8);
    config.groups = 4;
    config.groups_kept = 2;
    for (unsigned seed = 0; seed < 10; ++seed) expect_rerouting(config, seed, world);
  });
}

TEST(Reroute, WithEnoughRoundsEveryPlaceIsTaken) {
  on_ranks(1, [](Transport& world) {
    Arena arena;
    const LayerConfig config = layer_of(DropPolicy::kPosition, 1.0, kExperts);  // 60 choices, 8 experts of 8 places
    const Routed routed = TopkRouter(config).route(random_logits(1, arena), {}, arena);
    const Tensor counts = table_of({choices_of(routed.routing)}, kExperts, false, arena);
    const Routing routing = admitted(config, kTokens, routed, counts, {&world}, arena);
    EXPECT_EQ(std::ranges::count(routing.kept.span<std::uint8_t>(), 1), 60);
    EXPECT_LE(std::ranges::max(counts.span<std::int32_t>()), 8);
  });
}

TEST(Reroute, ATokenAsksForItsNextBestExpert) {
  on_ranks(1, [](Transport& world) {
    Arena arena;
    // Three tokens want expert 0, which has one place, then experts 1, 2 and 2; 2 has one place too.
    const Tensor logits = tensor_of<float>({3, 3}, {9, 2, 1, 9, 1, 2, 9, 1, 2}, arena);
    LayerConfig config{.experts = 3, .top_k = 1, .drop_policy = DropPolicy::kPosition, .capacity_factor = 1.0};
    config.reroute_rounds = 1;
    const Routed routed = TopkRouter(config).route(logits, {}, arena);
    const Tensor counts = tensor_of<std::int32_t>({1, 3}, {3, 0, 0}, arena);
    const Routing routing = admitted(config, 3, routed, counts, {&world}, arena);
    EXPECT_EQ(values_of<std::int32_t>(routing.offsets), (std::vector<std::int32_t>{0, 1, 3, 4}));
    EXPECT_EQ(values_of<std::int32_t>(routing.expert), (std::vector<std::int32_t>{0, 0, 2, 0}));
    EXPECT_EQ(values_of<std::uint8_t>(routing.kept), (std::vector<std::uint8_t>{1, 0, 1, 0}));
    EXPECT_EQ(values_of<std::uint8_t>(routing.chosen), (std::vector<std::uint8_t>{1, 1, 0, 1}));
    EXPECT_EQ(values_of<std::int32_t>(counts), (std::vector<std::int32_t>{1, 0, 1}));
    EXPECT_EQ(routing.score.data<float>()[2], routed.scores.data<float>()[5]);
  });
}

}  // namespace
}  // namespace coe
