#include "runtime/exchange/one_copy_exchange.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "comm/make_transport.h"
#include "tests/node_transport.h"
#include "tests/ranks.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

constexpr std::int64_t kHidden = 3;

/// Every rank sends `tokens` tokens to every expert, of which each rank holds `each`: all its rows are `value`.
struct Everybody {
  Everybody(Transport& world, std::int64_t tokens, float value, int each = 1)
      : placement(each * world.size(), world.size()), x(arena.make<float>({tokens, kHidden})) {
    std::vector<Choice> choices;
    const int experts = each * world.size();
    for (int e = 0; e < experts; ++e) choices.push_back({.expert = e});
    const std::vector<Choices> all(static_cast<std::size_t>(world.size()),
                                   Choices(static_cast<std::size_t>(tokens), choices));
    routing = routing_of(experts, all.front(), arena);
    plan = make_dispatch_plan(routing, table_of(all, experts, true, arena), placement, world.rank(), arena);
    std::ranges::fill(x.span<float>(), value);
  }

  Arena arena;
  Placement placement;
  Tensor x;
  Routing routing;
  DispatchPlan plan;
};

/// Sends, lets experts add 1 to what arrives, and returns the sums.
std::vector<float> round_trip(Everybody& everybody, Flight& flight) {
  const ExpertRows rows = flight.arrived().get();
  std::ranges::transform(rows.rows.span<float>(), flight.results().rows.data<float>(), [](float x) { return x + 1; });
  flight.send_back({"combine"});
  const Tensor sum = everybody.arena.zeros<float>(everybody.x.shape());
  flight.combine({.sum = sum}, {}).get();
  return values_of<float>(sum);
}
std::vector<float> round_trip(Everybody& everybody, OneCopyExchange& exchange) {
  Flight flight = exchange.begin(everybody.plan, {.x = &everybody.x, .weights = {}}, {"dispatch"});
  return round_trip(everybody, flight);
}

TEST(OneCopyExchangeOnRanks, AStaleRowIsNeverTakenForANewOne) {
  for_each_ranks([](Transport& world) {
    OneCopyExchange exchange({&world}, kHidden);
    // The same places in the same buffers again and again, every time one rank late, every time other numbers.
    for (int round = 0; round < 60; ++round) {
      if (round % world.size() == world.rank()) std::this_thread::sleep_for(std::chrono::microseconds(500));
      const auto value = static_cast<float>(round);
      Everybody everybody(world, 4, value);
      const float expected = static_cast<float>(world.size()) * (value + 1);
      ASSERT_EQ(round_trip(everybody, exchange), std::vector<float>(4 * kHidden, expected));
    }
    EXPECT_EQ(exchange.growths(), 0);
  });
}

TEST(OneCopyExchangeOnRanks, RoomForTheRowsExpectedIsMadeAtOnce) {
  for_each_ranks([](Transport& world) {
    const std::int64_t rows = 100 * world.size();
    OneCopyExchange exchange({&world}, kHidden, {.rows = rows, .arrivals = 3, .results = 2});
    const std::size_t bytes = exchange.window_bytes();
    EXPECT_GE(bytes, static_cast<std::size_t>(5 * rows * (kHidden + 1)) * sizeof(float));
    Everybody expected(world, 100, 1), more(world, 101, 1);
    for (int round = 0; round < 3; ++round) round_trip(expected, exchange);
    EXPECT_EQ(exchange.window_bytes(), bytes);
    EXPECT_EQ(exchange.growths(), 0);
    round_trip(more, exchange);
    EXPECT_EQ(exchange.growths(), 2) << "rows that arrive and results";
  });
}

TEST(OneCopyExchangeOnRanks, RowsThatAreKeptStayUntilTheirFlightIsReleased) {
  for_each_ranks([](Transport& world) {
    OneCopyExchange exchange({&world}, kHidden);
    Everybody first(world, 5, 7);
    Flight kept = exchange.begin(first.plan, {.x = &first.x, .weights = {}, .keep = true}, {"dispatch"});
    const ExpertRows rows = kept.arrived().get();
    round_trip(first, kept);
    for (int round = 0; round < 6; ++round) {
      Everybody other(world, 5, static_cast<float>(round));
      round_trip(other, exchange);
    }
    EXPECT_EQ(values_of<float>(rows.rows), std::vector<float>(rows.rows.span<float>().size(), 7.0F));
    // Once released its window is one of those that flights take in turn.
    const std::size_t bytes = exchange.window_bytes();
    kept = {};
    for (int round = 0; round < 3; ++round) round_trip(first, exchange);
    EXPECT_EQ(exchange.window_bytes(), bytes);
  });
}

TEST(OneCopyExchangeOnRanks, FlightsUnderWayDoNotMix) {
  for_each_ranks([](Transport& world) {
    OneCopyExchange exchange({&world}, kHidden);
    Everybody one(world, 3, 10), two(world, 4, 20);
    for (int round = 0; round < 5; ++round) {
      Flight first = exchange.begin(one.plan, {.x = &one.x, .weights = {}}, {"dispatch"});
      Flight second = exchange.begin(two.plan, {.x = &two.x, .weights = {}}, {"dispatch"});
      const auto ranks = static_cast<float>(world.size());
      EXPECT_EQ(round_trip(one, first), std::vector<float>(3 * kHidden, 11 * ranks));
      EXPECT_EQ(round_trip(two, second), std::vector<float>(4 * kHidden, 21 * ranks));
    }
  });
}

TEST(OneCopyExchangeOnRanks, AFlightThatDoesNotEndLeavesItsMemoryToTheTransport) {
  for_each_ranks([](Transport& world) {
    Everybody everybody(world, 4, 1);
    OneCopyExchange exchange({&world}, kHidden);
    round_trip(everybody, exchange);
    const std::size_t bytes = exchange.window_bytes();
    { const Flight lost = exchange.begin(everybody.plan, {.x = &everybody.x, .weights = {}}, {"dispatch"}); }
    EXPECT_LT(exchange.window_bytes(), bytes) << "its windows are no longer in the pool";
    // Others go on over windows of their own.
    EXPECT_EQ(round_trip(everybody, exchange), std::vector<float>(4 * kHidden, 2 * static_cast<float>(world.size())));
  });
}

TEST(OneCopyExchangeOnRanks, WindowsGrowByDoublingAndNeverShrink) {
  for_each_ranks([](Transport& world) {
    OneCopyExchange exchange({&world}, kHidden);
    std::size_t bytes = 0;
    for (const std::int64_t tokens : {10, 100, 110, 3, 300}) {
      Everybody everybody(world, tokens, 1);
      const float expected = 2 * static_cast<float>(world.size());
      EXPECT_EQ(round_trip(everybody, exchange),
                std::vector<float>(static_cast<std::size_t>(tokens * kHidden), expected));
      EXPECT_GE(exchange.window_bytes(), bytes);
      bytes = exchange.window_bytes();
    }
    EXPECT_LE(exchange.growths(), 2 * 3);
    EXPECT_GE(exchange.growths(), 2);
  });
}

TEST(OneCopyExchange, ARankThatFailsEndsTheOthersWaits) {
  for (const bool before_dispatch : {true, false}) {
    try {
      run_local_ranks(4, [&](Transport& world) {
        OneCopyExchange exchange({&world}, kHidden);
        Everybody everybody(world, 4, 1);
        round_trip(everybody, exchange);
        if (world.rank() == 2 && before_dispatch) fail(ErrorCode::kInternal, "rank 2 gave in");
        Flight flight = exchange.begin(everybody.plan, {.x = &everybody.x, .weights = {}}, {"dispatch"});
        flight.arrived().get();
        if (world.rank() == 2) fail(ErrorCode::kInternal, "rank 2 gave in");
        flight.send_back({"combine"});
        flight.combine({.sum = everybody.x}, {}).get();
      });
      FAIL() << "nobody failed";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "rank 2 gave in");
    }
  }
}

TEST(OneCopyExchange, ADeadlineNamesWhoseRowsAreMissing) {
  run_local_ranks(2, [&](Transport& world) {
    const Group group{&world, std::chrono::milliseconds(100)};
    OneCopyExchange exchange(group, kHidden);
    Everybody everybody(world, 4, 1);
    round_trip(everybody, exchange);
    if (world.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(400));
      return;
    }
    Flight flight = exchange.begin(everybody.plan, {.x = &everybody.x, .weights = {}}, {"dispatch", 3, 1});
    try {
      flight.arrived().get();
      ADD_FAILURE() << "rows came from nowhere";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "rank 0 waits for rank 1 in dispatch of layer 3, iteration 1: signal 1 of 2 was heard after 0.1 s");
    }
  });
}

TEST(OneCopyExchangeOnRanks, RanksOfOtherNodesGetOneMessageEachWayHoweverManyExpertsThereAre) {
  on_ranks(7, [](Transport& world) {
    NodeTransport nodes(world, 3);  // three, three and one
    const std::uint64_t elsewhere = world.rank() < 6 ? 4 : 6;
    OneCopyExchange exchange({&nodes}, kHidden);
    for (const int experts_each : {1, 2, 40}) {
      const auto value = static_cast<float>(10 * world.rank() + experts_each);
      Everybody everybody(nodes, 4, value, experts_each);
      round_trip(everybody, exchange);  // makes its windows
      const std::uint64_t before = nodes.messages_sent();
      const float sum = 7 * static_cast<float>(experts_each) * (value + 1);
      EXPECT_EQ(round_trip(everybody, exchange), std::vector<float>(4 * kHidden, sum));
      EXPECT_EQ(nodes.messages_sent() - before, 2 * elsewhere) << experts_each;
    }
  });
}

}  // namespace
}  // namespace coe
