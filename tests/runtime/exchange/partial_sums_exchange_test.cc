#include "runtime/exchange/partial_sums_exchange.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "comm/collectives.h"
#include "tests/node_transport.h"
#include "tests/ranks.h"
#include "tests/runtime/exchange/exchange_properties.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

/// One rank's tokens, rows of `hidden` floats that are all the same.
struct Scene {
  Scene(std::int64_t experts, const std::vector<Choices>& by_rank, const Transport& world, std::int64_t hidden)
      : placement(experts, world.size()) {
    const Choices& mine = by_rank[static_cast<std::size_t>(world.rank())];
    routing = routing_of(experts, mine, arena);
    plan = make_dispatch_plan(routing, table_of(by_rank, experts, true, arena), placement, world.rank(), arena);
    x = arena.make<float>({std::ssize(mine), hidden});
  }

  /// Sends rows of `value`, lets expert e multiply them by e + 1, and returns the sums.
  std::vector<float> round_trip(Exchange& exchange, int rank, float value) {
    std::ranges::fill(x.span<float>(), value);
    Flight flight = exchange.begin(plan, {.x = &x, .weights = routing.weight}, {"dispatch"});
    const ExpertRows rows = flight.arrived().get(), results = flight.results();
    const ExpertIds& mine = placement.experts_of(rank);
    const auto* offsets = rows.offsets.data<std::int32_t>();
    for (std::int64_t e = 0; e < mine.count(); ++e) {
      const std::int64_t first = offsets[e], count = offsets[e + 1] - first;
      std::ranges::transform(rows.rows.rows(first, count).span<float>(), results.rows.rows(first, count).data<float>(),
                             [&](float from) { return from * static_cast<float>(mine[e] + 1); });
    }
    flight.send_back({"combine"});
    const Tensor sum = arena.zeros<float>(x.shape());
    flight.combine({.sum = sum}, {}).get();
    return values_of<float>(sum);
  }

  Arena arena;
  Placement placement;
  Routing routing;
  DispatchPlan plan;
  Tensor x;
};

/// Bytes that all ranks sent, in rows and beside choices.
struct Traffic {
  std::int64_t all = 0, rows = 0;
};

/// `top_k` experts for each token of a rank, any of them alike.
Choices chosen(std::int64_t tokens, std::int32_t experts, std::int32_t top_k, int rank) {
  std::mt19937 random(static_cast<unsigned>(rank) + 1);
  return random_choices(tokens, experts, top_k, top_k, random);
}

/// Kept choices and distinct tokens that leave this rank, counted in its plan.
struct Leaving {
  std::int64_t choices = 0, tokens = 0;
};

Leaving leaving(const DispatchPlan& plan, int rank) {
  Leaving count;
  const auto* token = plan.send_token.data<std::int32_t>();
  for (std::size_t peer = 0; peer < plan.send_rows.size(); ++peer) {
    const auto* end = token + plan.send_rows[peer];
    if (std::cmp_not_equal(peer, rank)) {
      count.choices += static_cast<std::int64_t>(plan.send_rows[peer]);
      count.tokens += std::ssize(std::set(token, end));
    }
    token = end;
  }
  return count;
}

std::int64_t over_ranks(Transport& world, std::int64_t mine) {
  all_reduce_sum<std::int64_t>({&world}, {&mine, 1}, {"count"});
  return mine;
}

/// What one forward of these choices sends, of all ranks. Beside rows travel 8 bytes a choice, its token's number and
/// its weight, on the way to the experts alone.
Traffic traffic_of(Transport& world, std::int64_t experts, const std::vector<Choices>& by_rank, std::int64_t hidden) {
  Scene scene(experts, by_rank, world, hidden);
  PartialSumsExchange exchange({&world}, hidden);
  scene.round_trip(exchange, world.rank(), 1);
  const Leaving mine = leaving(scene.plan, world.rank());
  Traffic traffic;
  traffic.all = over_ranks(world, exchange.bytes_sent());
  traffic.rows = traffic.all - 8 * over_ranks(world, mine.choices);
  EXPECT_EQ(traffic.rows, 2 * hidden * 4 * over_ranks(world, mine.tokens));
  return traffic;
}

TEST(PartialSumsExchangeOnRanks, TwoTokensByHand) {
  on_ranks(2, [](Transport& world) {
    // Rank 0 holds experts 0 and 1, rank 1 expert 2. Token 0 of rank 0 goes to all, the one of rank 1 to 0 and 1.
    const std::vector<Choices> all = {{{{0, 0.5}, {1, 0.25}, {2, 0.125}}}, {{{0, 1.0}, {1, 0.5}}}};
    Scene scene(3, all, world, 2);
    PartialSumsExchange exchange({&world}, 2);
    // 4 (0.5 * 1 + 0.25 * 2 + 0.125 * 3) = 5.5; 4 (1 * 1 + 0.5 * 2) = 8.
    const float sum = world.rank() == 0 ? 5.5F : 8.0F;
    EXPECT_EQ(scene.round_trip(exchange, world.rank(), 4), (std::vector<float>{sum, sum}));
    // A row of 8 bytes each way; rank 0 names one choice beside it, rank 1 two, 8 bytes each.
    EXPECT_EQ(exchange.bytes_sent(), world.rank() == 0 ? 8 + 8 + 8 : 8 + 8 + 16);
  });
}

TEST(PartialSumsExchangeOnRanks, UniformRoutingSendsAsManyRowsAsTheFormulaSays) {
  constexpr std::int64_t kTokens = 1000, kHidden = 16;
  constexpr std::int32_t kExperts = 56, kTopK = 8;
  for_each_ranks([](Transport& world) {
    const int ranks = world.size();
    std::vector<Choices> all;
    for (int rank = 0; rank < ranks; ++rank) all.push_back(chosen(kTokens, kExperts, kTopK, rank));
    const Traffic traffic = traffic_of(world, kExperts, all, kHidden);
    // None of a token's experts is with a given rank: C(N - N/R, K) / C(N, K), factor by factor.
    double none = 1;
    for (int i = 0; i < kTopK; ++i) {
      none *= (kExperts - static_cast<double>(kExperts) / ranks - i) / (kExperts - i);
    }
    const double others = (ranks - 1) * (1 - none);  // R (1 - none) ranks a token, the own one left out
    const double bytes = 2.0 * 4 * kHidden * kTokens * ranks * others;
    EXPECT_NEAR(static_cast<double>(traffic.rows), bytes, 0.02 * bytes);
    // By hand for two ranks: none = C(28, 8) / C(56, 8) = 3108105 / 1420494075.
    if (ranks == 2) {
      EXPECT_NEAR(others, 1 - 3108105.0 / 1420494075.0, 1e-12);
    }
  });
}

TEST(PartialSumsExchangeOnRanks, SkewedRoutingSendsAsManyBytesAsItsPlansSay) {
  for_each_ranks([](Transport& world) {
    std::mt19937 random(3);
    Choices tokens = random_choices(200, 24, 0, 6, random);
    // Two thirds of the tokens want the first experts; a quarter of all choices is dropped.
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      if (t % 3 != 0) tokens[t] = {{0, 0.5}, {1, 0.25}, {2, 0.125}, {5, 0.75}};
      for (Choice& choice : tokens[t]) choice.kept = random() % 4 != 0;
    }
    const Traffic traffic = traffic_of(world, 24, deal_unevenly(tokens, world.size()), 5);
    EXPECT_EQ(traffic.all > 0, world.size() > 1);
  });
}

TEST(PartialSumsExchangeOnRanks, AStaleRowIsNeverTakenForANewOne) {
  for_each_ranks([](Transport& world) {
    PartialSumsExchange exchange({&world}, 3);
    std::vector<Choice> everybody;
    float times = 0;
    for (std::int32_t e = 0; e < 2 * world.size(); ++e) {
      everybody.push_back({.expert = e});
      times += static_cast<float>(e + 1);
    }
    const std::vector<Choices> all(static_cast<std::size_t>(world.size()), Choices(4, everybody));
    for (int round = 0; round < 40; ++round) {
      if (round % world.size() == world.rank()) std::this_thread::sleep_for(std::chrono::microseconds(500));
      Scene scene(2 * world.size(), all, world, 3);
      const auto value = static_cast<float>(10 * round + world.rank());
      ASSERT_EQ(scene.round_trip(exchange, world.rank(), value), std::vector<float>(4 * 3, times * value));
    }
  });
}

TEST(PartialSumsExchangeOnRanks, MadeUpLayersHoldWithMappedPeersAndPeersByMessage) {
  const ExchangeFactory factory{
      [](Group group, std::int64_t hidden) { return std::make_unique<PartialSumsExchange>(group, hidden); },
      ExchangeOrder::kPartialSums};
  for (const int ranks : {2, 4, 7}) {
    on_ranks(ranks, [&](Transport& world) {
      NodeTransport nodes(world, ranks == 2 ? 1 : 3);  // one and one; three and one; three, three and one
      for (std::uint64_t seed = 0; seed < 100; ++seed) CaseOnRank(exchange_case(seed, ranks), nodes).run(factory);
    });
  }
}

}  // namespace
}  // namespace coe
