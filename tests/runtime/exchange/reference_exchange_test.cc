#include "runtime/exchange/reference_exchange.h"

#include <gtest/gtest.h>

#include <iterator>
#include <limits>
#include <utility>

#include "tests/ranks.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

constexpr std::int64_t kHidden = 3;

/// Row of a token: where it comes from, so that it is recognised wherever it arrives.
std::vector<float> row_of(std::size_t source, std::size_t token) {
  return {static_cast<float>(source), static_cast<float>(token), 1};
}

float scalar_of(std::size_t source, std::size_t choice) { return static_cast<float>(100 * source + choice); }

/// All ranks' choices, what one rank plans with them, and what must arrive there.
struct Scene {
  Scene(std::int64_t experts, std::vector<Choices> all, int at_rank)
      : by_rank(std::move(all)),
        rank(static_cast<std::size_t>(at_rank)),
        placement(experts, static_cast<int>(by_rank.size())),
        routing(routing_of(experts, by_rank[rank], arena)),
        plan(make_dispatch_plan(routing, table_of(by_rank, experts, true, arena), placement, at_rank, arena)) {}

  const Choices& mine() const { return by_rank[rank]; }

  Tensor x() {
    std::vector<float> rows;
    for (std::size_t t = 0; t < mine().size(); ++t) std::ranges::copy(row_of(rank, t), std::back_inserter(rows));
    return tensor_of<float>({std::ssize(mine()), kHidden}, rows, arena);
  }
  Tensor scalars() {
    std::vector<float> values;
    for (std::size_t j = 0; std::cmp_less(j, routing.choices()); ++j) values.push_back(scalar_of(rank, j));
    return tensor_of<float>({routing.choices()}, values, arena);
  }

  std::vector<Choices> by_rank;
  std::size_t rank;
  Arena arena;
  Placement placement;
  Routing routing;
  DispatchPlan plan;
};

/// Calls visit(source, token, choice number, choice) for every kept choice of `expert`, in global token order.
template <class Visit>
void for_each_row_of(const std::vector<Choices>& by_rank, std::int64_t expert, const Visit& visit) {
  for (std::size_t source = 0; source < by_rank.size(); ++source) {
    std::size_t j = 0;
    for (std::size_t t = 0; t < by_rank[source].size(); ++t) {
      for (const Choice& choice : by_rank[source][t]) {
        if (choice.kept && choice.expert == expert) visit(source, t, j, choice);
        ++j;
      }
    }
  }
}

/// What must be with this rank after dispatch: its experts' rows by (expert, source, token).
void expect_arrived(const Scene& scene, const ExpertRows& arrived, bool with_scalar) {
  std::vector<float> rows, scalars;
  std::vector<std::int32_t> offsets = {0};
  const ExpertIds& experts = scene.placement.experts_of(static_cast<int>(scene.rank));
  for (const std::int64_t e : experts) {
    for_each_row_of(scene.by_rank, e, [&](std::size_t source, std::size_t token, std::size_t j, const Choice&) {
      std::ranges::copy(row_of(source, token), std::back_inserter(rows));
      if (with_scalar) scalars.push_back(scalar_of(source, j));
    });
    offsets.push_back(static_cast<std::int32_t>(rows.size()) / static_cast<std::int32_t>(kHidden));
  }
  EXPECT_EQ(values_of<float>(arrived.rows), rows);
  EXPECT_EQ(values_of<float>(arrived.scalar), scalars);
  EXPECT_EQ(values_of<std::int32_t>(arrived.offsets), offsets);
}

/// Multiplies the rows of expert e by e + 1 and adds e to their scalars.
void apply_experts(const Scene& scene, const ExpertRows& rows, const ExpertRows& results) {
  const ExpertIds& experts = scene.placement.experts_of(static_cast<int>(scene.rank));
  const auto* offsets = rows.offsets.data<std::int32_t>();
  for (std::int64_t local = 0; local < experts.count(); ++local) {
    const auto id = static_cast<float>(experts[local]);
    const std::int64_t first = offsets[local], count = offsets[local + 1] - first;
    std::ranges::transform(rows.rows.rows(first, count).span<float>(), results.rows.rows(first, count).data<float>(),
                           [&](float value) { return value * (id + 1); });
    if (rows.scalar.elements() == 0) continue;
    std::ranges::transform(rows.scalar.rows(first, count).span<float>(),
                           results.scalar.rows(first, count).data<float>(), [&](float value) { return value + id; });
  }
}

/// `before` plus the sum of what the experts made of each token, by weight; all numbers are exact in fp32.
std::vector<float> combined(const Scene& scene, bool weighted) {
  std::vector<float> sum;
  for (std::size_t t = 0; t < scene.mine().size(); ++t) {
    for (const float value : row_of(scene.rank, t)) {
      float total = 0;
      for (const Choice& choice : scene.mine()[t]) {
        const float weight = weighted ? static_cast<float>(choice.weight) : 1;
        if (choice.kept) total += weight * static_cast<float>(choice.expert + 1) * value;
      }
      sum.push_back(total);
    }
  }
  return sum;
}

std::vector<float> returned_scalars(const Scene& scene) {
  std::vector<float> scalars;
  for (const std::vector<Choice>& token : scene.mine()) {
    for (const Choice& choice : token) {
      const float sent = scalar_of(scene.rank, scalars.size());
      scalars.push_back(choice.kept ? sent + static_cast<float>(choice.expert) : 0);
    }
  }
  return scalars;
}

/// Bytes that leave a rank there and back: its rows to other ranks, and other ranks' rows that went to its experts.
std::int64_t recounted_bytes(const Scene& scene, bool with_scalar) {
  std::int64_t rows = 0;
  for (std::int64_t e = 0; e < scene.placement.experts(); ++e) {
    const auto holder = static_cast<std::size_t>(scene.placement.rank_of(e));
    for_each_row_of(scene.by_rank, e, [&](std::size_t source, std::size_t, std::size_t, const Choice&) {
      if (source != holder && (source == scene.rank || holder == scene.rank)) ++rows;
    });
  }
  return rows * (kHidden + (with_scalar ? 1 : 0)) * 4;
}

/// Forward sends rows alone and combines by weight; backward sends a scalar beside each and adds up unweighted.
void expect_exchange(Scene& scene, ReferenceExchange& exchange, bool with_scalar) {
  const std::int64_t bytes_before = exchange.bytes_sent();
  const Tensor x = scene.x(), scalars = scene.scalars();
  const Tensor weights = with_scalar ? Tensor() : scene.routing.weight;
  Flight flight = exchange.begin(scene.plan, {.x = &x, .weights = weights, .scalar = with_scalar ? &scalars : nullptr},
                                 {"dispatch"});
  const ExpertRows rows = flight.arrived().get();
  expect_arrived(scene, rows, with_scalar);

  apply_experts(scene, rows, flight.results());
  const Tensor sum = scene.arena.make<float>(x.shape());
  std::ranges::fill(sum.span<float>(), std::numeric_limits<float>::quiet_NaN());
  flight.send_back({"combine"});
  flight.combine({.sum = sum, .scalar = with_scalar ? &scalars : nullptr}, {}).get();
  EXPECT_EQ(values_of<float>(sum), combined(scene, !with_scalar));
  if (with_scalar) {
    EXPECT_EQ(values_of<float>(scalars), returned_scalars(scene));
  }
  EXPECT_EQ(exchange.bytes_sent() - bytes_before, recounted_bytes(scene, with_scalar));
}

void expect_exchange(std::int64_t experts, const Choices& tokens, Transport& world) {
  Scene scene(experts, deal_unevenly(tokens, world.size()), world.rank());
  ReferenceExchange exchange({&world}, kHidden);
  expect_exchange(scene, exchange, false);
  expect_exchange(scene, exchange, true);
}

TEST(ReferenceExchangeOnRanks, TwoTokensByHand) {
  on_ranks(2, [](Transport& world) {
    // Rank 0 holds experts 0 and 1, rank 1 expert 2. Token 0 of rank 0 goes to 0 and 2, the one of rank 1 to 1.
    Scene scene(3, {{{{0, 0.5}, {2, 0.25}}}, {{{1, 1.0}}}}, world.rank());
    ReferenceExchange exchange({&world}, kHidden);
    const Tensor x = scene.x();
    Flight flight = exchange.begin(scene.plan, {.x = &x, .weights = scene.routing.weight}, {"dispatch"});
    const ExpertRows rows = flight.arrived().get();
    const std::vector<float> at_0 = {0, 0, 1, 1, 0, 1}, at_1 = {0, 0, 1};
    EXPECT_EQ(values_of<float>(rows.rows), world.rank() == 0 ? at_0 : at_1);
    apply_experts(scene, rows, flight.results());
    const Tensor sum = scene.arena.make<float>({1, kHidden});
    flight.send_back({"combine"});
    flight.combine({.sum = sum}, {}).get();
    // 0.5 * 1 + 0.25 * 3 = 1.25 times (0, 0, 1); 1 * 2 times (1, 0, 1).
    EXPECT_EQ(values_of<float>(sum),
              world.rank() == 0 ? (std::vector<float>{0, 0, 1.25}) : (std::vector<float>{2, 0, 2}));
    EXPECT_EQ(exchange.bytes_sent(), 2 * kHidden * 4);
  });
}

TEST(ReferenceExchangeOnRanks, AllTokensMayGoToOneExpert) {
  for_each_ranks([](Transport& world) { expect_exchange(5, Choices(12, {{.expert = 3, .weight = 0.75}}), world); });
}

TEST(ReferenceExchangeOnRanks, ExpertsMayBeIdle) {
  for_each_ranks([](Transport& world) { expect_exchange(6, Choices(9, {{0}, {5, 0.5}}), world); });
}

TEST(ReferenceExchangeOnRanks, DroppedChoicesDoNotTravel) {
  for_each_ranks([](Transport& world) {
    Choices tokens(8, {{0}, {2, 0.5}});
    tokens[1][0].kept = tokens[4][1].kept = tokens[7][0].kept = tokens[7][1].kept = false;
    expect_exchange(3, tokens, world);
    for (std::vector<Choice>& token : tokens) token[0].kept = token[1].kept = false;
    expect_exchange(3, tokens, world);
  });
}

TEST(ReferenceExchangeOnRanks, PaddingIsZeroAndComesBackNowhere) {
  for_each_ranks([](Transport& world) {
    // Every rank has one token, which visits expert 0 of 1; rank 0 holds it with room for two more rows.
    Arena arena;
    const Routing routing = routing_of(1, {{{0, 0.5}}}, arena);
    const Tensor table = tensor_of<std::int32_t>({world.size(), 1}, std::vector<std::int32_t>(world.size(), 1), arena);
    const Placement placement(1, world.size());
    const DispatchPlan plan = make_dispatch_plan(routing, table, placement, world.rank(), arena, world.size() + 2);
    ReferenceExchange exchange({&world}, 1);
    const Tensor x = tensor_of<float>({1, 1}, {static_cast<float>(world.rank() + 1)}, arena);
    Flight flight = exchange.begin(plan, {.x = &x, .weights = {}, .scalar = &routing.weight}, {"dispatch"});
    const ExpertRows rows = flight.arrived().get();
    std::vector<float> arrived, weights;
    for (int r = 0; world.rank() == 0 && r < world.size() + 2; ++r) {
      arrived.push_back(r < world.size() ? static_cast<float>(r + 1) : 0);
      weights.push_back(r < world.size() ? 0.5F : 0);
    }
    EXPECT_EQ(values_of<float>(rows.rows), arrived);
    EXPECT_EQ(values_of<float>(rows.scalar), weights);
    const ExpertRows results = flight.results();
    std::ranges::copy(rows.rows.span<float>(), results.rows.data<float>());
    std::ranges::copy(rows.scalar.span<float>(), results.scalar.data<float>());
    flight.send_back({"combine"});
    const Tensor sum = arena.zeros<float>({1, 1}), scalar = arena.make<float>({1});
    flight.combine({.sum = sum, .scalar = &scalar}, {}).get();
    EXPECT_EQ(sum.data<float>()[0], x.data<float>()[0]);
    EXPECT_EQ(scalar.data<float>()[0], 0.5F);
  });
}

TEST(ReferenceExchangeOnRanks, SevenRanksMayShareThreeExperts) {
  on_ranks(7, [](Transport& world) {
    std::mt19937 random(7);
    expect_exchange(3, random_choices(40, 3, 1, 2, random), world);
  });
}

TEST(ReferenceExchangeOnRanks, NobodyNeedsToHaveTokens) {
  for_each_ranks([](Transport& world) { expect_exchange(4, {}, world); });
}

TEST(ReferenceExchangeOnRanks, RandomRoutingsInTheSameBuffers) {
  for_each_ranks([](Transport& world) {
    ReferenceExchange exchange({&world}, kHidden);
    for (unsigned seed = 0; seed < 50; ++seed) {
      SCOPED_TRACE(seed);
      std::mt19937 random(seed);
      const auto experts = static_cast<std::int32_t>(random() % 9 + 1);
      Choices tokens = random_choices(random() % 30, experts, 0, experts, random);
      for (std::vector<Choice>& token : tokens) {
        for (Choice& choice : token) choice.kept = random() % 4 != 0;
      }
      Scene scene(experts, deal_unevenly(tokens, world.size()), world.rank());
      expect_exchange(scene, exchange, seed % 2 == 0);
    }
  });
}

TEST(ReferenceExchangeOnRanks, FlightsUnderWayDoNotMix) {
  for_each_ranks([](Transport& world) {
    std::mt19937 random(8);
    Scene first(4, deal_unevenly(random_choices(20, 4, 1, 3, random), world.size()), world.rank());
    Scene second(4, deal_unevenly(random_choices(10, 4, 1, 2, random), world.size()), world.rank());
    ReferenceExchange exchange({&world}, kHidden);
    const Tensor x = first.x(), other_x = second.x(), scalars = second.scalars();
    Flight one = exchange.begin(first.plan, {.x = &x, .weights = {}}, {"dispatch"});
    Flight other = exchange.begin(second.plan, {.x = &other_x, .weights = {}, .scalar = &scalars}, {"dispatch"});
    expect_arrived(first, one.arrived().get(), false);
    expect_arrived(second, other.arrived().get(), true);
  });
}

}  // namespace
}  // namespace coe
