#include "runtime/routing/admission.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/admitted.h"
#include "tests/runtime/routing/routings.h"
#include "tests/runtime/routing/slow_admission.h"

namespace coe {
namespace {

std::vector<std::uint8_t> kept_of(const Choices& tokens) {
  std::vector<std::uint8_t> kept;
  for (const std::vector<Choice>& token : tokens) {
    for (const Choice& choice : token) kept.push_back(choice.kept ? 1 : 0);
  }
  return kept;
}

/// Admits this rank's part of `tokens` and compares with the slow way on all of them.
void expect_admission(const LayerConfig& config, const Choices& tokens, Transport& world) {
  Arena arena;
  const auto rank = static_cast<std::size_t>(world.rank());
  const std::vector<Choices> before = deal_unevenly(tokens, world.size());
  const Routing routing = routing_of(config.experts, before[rank], arena);
  const Tensor counts = table_of(before, config.experts, false, arena);
  Routed routed;
  routed.routing = routing;
  admitted(config, std::ssize(tokens), routed, counts, {&world}, arena);

  Choices expected = tokens;
  slow_admission(config, {}, expected);
  const std::vector<Choices> after = deal_unevenly(expected, world.size());
  EXPECT_EQ(values_of<std::uint8_t>(routing.kept), kept_of(after[rank]));
  const Tensor recount = table_of(after, config.experts, true, arena);
  EXPECT_EQ(values_of<std::int32_t>(counts), values_of<std::int32_t>(recount));
}

LayerConfig layer_of(DropPolicy policy, double factor) {
  return {.experts = 5, .top_k = 2, .drop_policy = policy, .capacity_factor = factor};
}

void expect_admission_at_any_ranks(DropPolicy policy, std::int32_t fewest, std::int32_t most) {
  for_each_ranks([&](Transport& world) {
    for (unsigned seed = 0; seed < 20; ++seed) {
      SCOPED_TRACE(seed);
      std::mt19937 random(seed);
      const Choices tokens = random_choices(30, 5, fewest, most, random);
      for (const double factor : {0.1, 0.5, 1.0, 1.25, 5.0}) expect_admission(layer_of(policy, factor), tokens, world);
    }
  });
}

TEST(Capacity, IsRoundedUp) {
  const LayerConfig config{.experts = 4, .top_k = 2, .capacity_factor = 1.25};
  EXPECT_EQ(capacity_of(config, 10), 7);  // 6.25
  EXPECT_EQ(capacity_of(config, 16), 10);
  EXPECT_EQ(capacity_of(config, 1), 1);  // 0.625
  EXPECT_EQ(capacity_of(config, 0), 0);
}

TEST(Capacity, IsCountedExactly) {
  const auto capacity = [](std::int64_t experts, std::int64_t top_k, double factor, std::int64_t tokens) {
    return capacity_of({.experts = experts, .top_k = top_k, .capacity_factor = factor}, tokens);
  };
  EXPECT_EQ(capacity(10, 2, 1.1, 100), 22);  // in doubles 22.000000000000004
  EXPECT_EQ(capacity(10, 1, 0.7, 100), 7);
  EXPECT_EQ(capacity(3, 1, 1.000001, 3'000'000), 1'000'001);
  EXPECT_EQ(capacity(1, 8, 1'048'576, std::int64_t{1} << 30), std::int64_t{1} << 53);
  // Factors of two places against whole numbers: every product of the two that comes out even is met, not passed.
  for (std::int64_t hundredths = 1; hundredths <= 400; ++hundredths) {
    for (const std::int64_t tokens : {1, 7, 100, 4096, 1'000'000}) {
      const std::int64_t choices = tokens * 8 * hundredths, even = 64 * 100;
      EXPECT_EQ(capacity(64, 8, static_cast<double>(hundredths) / 100, tokens), (choices + even - 1) / even);
    }
  }
}

TEST(Capacity, AnotherFactorChangesNothingElse) {
  LayerConfig layer{.experts = 4, .top_k = 2, .drop_policy = DropPolicy::kProbability, .capacity_factor = 1.25};
  layer.reroute_rounds = 1;
  layer.pad_to_capacity = true;
  layer.capacity_scope = CapacityScope::kRank;
  LayerConfig wanted = layer;
  wanted.capacity_factor = 2;
  EXPECT_EQ(with_capacity(layer, 2), wanted);
  EXPECT_EQ(with_capacity(layer, 0), (LayerConfig{.experts = 4, .top_k = 2}));
  EXPECT_EQ(with_capacity({.experts = 4, .top_k = 2}, 2), (LayerConfig{.experts = 4, .top_k = 2}));
}

TEST(Capacity, ProbabilityAndReroutingLookAhead) {
  LayerConfig layer{.experts = 4, .top_k = 2};
  EXPECT_FALSE(looks_ahead(layer));
  layer.drop_policy = DropPolicy::kPosition;
  EXPECT_FALSE(looks_ahead(layer));
  layer.reroute_rounds = 1;
  EXPECT_TRUE(looks_ahead(layer));
  layer.reroute_rounds = 0;
  layer.drop_policy = DropPolicy::kProbability;
  EXPECT_TRUE(looks_ahead(layer));
}

TEST(AdmissionOnRanks, WithoutAPolicyEverythingIsKept) { expect_admission_at_any_ranks(DropPolicy::kNone, 2, 2); }

TEST(AdmissionOnRanks, ByPositionTheFirstTokensOfAllRanksKeepTheirPlaces) {
  expect_admission_at_any_ranks(DropPolicy::kPosition, 2, 2);
}

TEST(AdmissionOnRanks, ByProbabilityTheLargestScoresKeepTheirPlacesAndTiesGoToTheEarlierToken) {
  expect_admission_at_any_ranks(DropPolicy::kProbability, 2, 2);
}

TEST(AdmissionOnRanks, TokensMayHaveAnyNumberOfExperts) {
  expect_admission_at_any_ranks(DropPolicy::kPosition, 0, 5);
  expect_admission_at_any_ranks(DropPolicy::kProbability, 0, 5);
}

TEST(AdmissionOnRanks, WithoutCapacityEverythingIsDropped) {
  for_each_ranks([](Transport& world) {
    std::mt19937 random(3);
    const Choices tokens = random_choices(9, 5, 1, 3, random);
    expect_admission(layer_of(DropPolicy::kPosition, 0.0), tokens, world);
    expect_admission(layer_of(DropPolicy::kProbability, 0.0), tokens, world);
  });
}

TEST(AdmissionOnRanks, WithoutTokensNothingHappens) {
  for_each_ranks([](Transport& world) {
    expect_admission(layer_of(DropPolicy::kPosition, 1.0), {}, world);
    expect_admission(layer_of(DropPolicy::kProbability, 1.0), {}, world);
  });
}

TEST(AdmissionOnRanks, WhereAllScoresAreEqualProbabilityIsPosition) {
  for_each_ranks([](Transport& world) {
    const Choices tokens(8, {{.expert = 1, .score = 0.5}});
    // ceil(8 * 2 * 1 / 5) = 4 places at expert 1: tokens 0 to 3.
    const LayerConfig config = layer_of(DropPolicy::kProbability, 1.0);
    expect_admission(config, tokens, world);
    Choices expected = tokens;
    slow_admission(config, {}, expected);
    EXPECT_EQ(kept_of(expected), (std::vector<std::uint8_t>{1, 1, 1, 1, 0, 0, 0, 0}));
  });
}

}  // namespace
}  // namespace coe
