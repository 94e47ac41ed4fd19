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

/// Every rank sends `tokens` tokens to every expert, of which each rank holds one: all its rows are `value`.
struct Everybody {
  Everybody(Transport& world, std::int64_t tokens, float value)
      : placement(world.size(), world.size()), x(arena.make<float>({tokens, kHidden})) {
    std::vector<Choice> choices;
    for (int e = 0; e < world.size(); ++e) choices.push_back({.expert = e});
    const std::vector<Choices> all(static_cast<std::size_t>(world.size()),
                                   Choices(static_cast<std::size_t>(tokens), choices));
    routing = routing_of(world.size(), all.front(), arena);
    plan = make_dispatch_plan(routing, table_of(all, world.size(), true, arena), placement, world.rank(), arena);
    std::ranges::fill(x.span<float>(), value);
  }

  Arena arena;
  Placement placement;
  Tensor x;
  Routing routing;
  DispatchPlan plan;
};

/// Sends, lets experts add 1 to what arrives, and returns the sums.
std::vector<float> round_trip(Everybody& everybody, OneCopyExchange& exchange, int slot) {
  exchange.begin_dispatch(everybody.plan, everybody.x, {}, nullptr, slot, {"dispatch"});
  const ExpertRows rows = exchange.finish_dispatch(everybody.plan, slot, everybody.arena);
  const ExpertRows results = exchange.result_rows(everybody.plan, slot, everybody.arena);
  std::ranges::transform(rows.rows.span<float>(), results.rows.data<float>(), [](float x) { return x + 1; });
  exchange.release(slot);
  exchange.begin_combine(everybody.plan, slot, {"combine"});
  const Tensor sum = everybody.arena.zeros<float>(everybody.x.shape());
  exchange.finish_combine(everybody.plan, slot, sum, nullptr, {});
  return values_of<float>(sum);
}

TEST(OneCopyExchangeOnRanks, AStaleRowIsNeverTakenForANewOne) {
  for_each_ranks([](Transport& world) {
    OneCopyExchange exchange({&world}, kHidden, 1, 1);
    // The same places in the same buffers again and again, every time one rank late, every time other numbers.
    for (int round = 0; round < 60; ++round) {
      if (round % world.size() == world.rank()) std::this_thread::sleep_for(std::chrono::microseconds(500));
      const auto value = static_cast<float>(round);
      Everybody everybody(world, 4, value);
      const float expected = static_cast<float>(world.size()) * (value + 1);
      ASSERT_EQ(round_trip(everybody, exchange, 0), std::vector<float>(4 * kHidden, expected));
    }
    EXPECT_EQ(exchange.growths(), 0);
  });
}

TEST(OneCopyExchangeOnRanks, RoomForTheRowsExpectedIsMadeAtOnce) {
  for_each_ranks([](Transport& world) {
    const std::int64_t rows = 100 * world.size();
    OneCopyExchange exchange({&world}, kHidden, 3, 2, rows);
    const std::size_t bytes = exchange.window_bytes();
    EXPECT_GE(bytes, static_cast<std::size_t>(5 * rows * (kHidden + 1)) * sizeof(float));
    Everybody expected(world, 100, 1), more(world, 101, 1);
    for (int slot = 0; slot < 3; ++slot) round_trip(expected, exchange, slot);
    EXPECT_EQ(exchange.window_bytes(), bytes);
    EXPECT_EQ(exchange.growths(), 0);
    round_trip(more, exchange, 0);
    EXPECT_EQ(exchange.growths(), 2) << "rows that arrive and results";
  });
}

TEST(OneCopyExchangeOnRanks, RowsStayUntilTheirSlotIsReleasedOrUsedAgain) {
  for_each_ranks([](Transport& world) {
    OneCopyExchange exchange({&world}, kHidden, 3, 2);
    Everybody first(world, 5, 7);
    exchange.begin_dispatch(first.plan, first.x, {}, nullptr, 2, {"dispatch"});
    const ExpertRows kept = exchange.finish_dispatch(first.plan, 2, first.arena);
    exchange.result_rows(first.plan, 2, first.arena);
    exchange.begin_combine(first.plan, 2, {"combine"});
    const Tensor sum = first.arena.zeros<float>(first.x.shape());
    exchange.finish_combine(first.plan, 2, sum, nullptr, {});
    for (int round = 0; round < 6; ++round) {
      Everybody other(world, 5, static_cast<float>(round));
      round_trip(other, exchange, round % 2);
    }
    EXPECT_EQ(values_of<float>(kept.rows), std::vector<float>(kept.rows.span<float>().size(), 7.0F));
  });
}

TEST(OneCopyExchangeOnRanks, WindowsGrowByDoublingAndNeverShrink) {
  for_each_ranks([](Transport& world) {
    OneCopyExchange exchange({&world}, kHidden, 1, 1);
    std::size_t bytes = 0;
    for (const std::int64_t tokens : {10, 100, 110, 3, 300}) {
      Everybody everybody(world, tokens, 1);
      const float expected = 2 * static_cast<float>(world.size());
      EXPECT_EQ(round_trip(everybody, exchange, 0),
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
        OneCopyExchange exchange({&world}, kHidden, 1, 1);
        Everybody everybody(world, 4, 1);
        round_trip(everybody, exchange, 0);
        if (world.rank() == 2 && before_dispatch) fail(ErrorCode::kInternal, "rank 2 gave in");
        exchange.begin_dispatch(everybody.plan, everybody.x, {}, nullptr, 0, {"dispatch"});
        exchange.finish_dispatch(everybody.plan, 0, everybody.arena);
        if (world.rank() == 2) fail(ErrorCode::kInternal, "rank 2 gave in");
        exchange.begin_combine(everybody.plan, 0, {"combine"});
        exchange.finish_combine(everybody.plan, 0, everybody.x, nullptr, {});
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
    OneCopyExchange exchange(group, kHidden, 1, 1);
    Everybody everybody(world, 4, 1);
    round_trip(everybody, exchange, 0);
    if (world.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(400));
      return;
    }
    exchange.begin_dispatch(everybody.plan, everybody.x, {}, nullptr, 0, {"dispatch", 3, 1});
    try {
      exchange.finish_dispatch(everybody.plan, 0, everybody.arena);
      ADD_FAILURE() << "rows came from nowhere";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "rank 0 waits for rank 1 in dispatch of layer 3, iteration 1: signal 1 of 2 was heard after 0.1 s");
    }
  });
}

TEST(OneCopyExchangeOnRanks, RanksOfOtherNodesGetOneMessageEachWay) {
  on_ranks(7, [](Transport& world) {
    NodeTransport nodes(world, 3);  // three, three and one
    OneCopyExchange exchange({&nodes}, kHidden, 2, 2);
    for (int round = 0; round < 4; ++round) {
      Everybody everybody(nodes, 4, static_cast<float>(10 * world.rank() + round));
      const int before = nodes.messages();
      const auto value = static_cast<float>(10 * world.rank() + round + 1);
      EXPECT_EQ(round_trip(everybody, exchange, round % 2), std::vector<float>(4 * kHidden, 7 * value));
      EXPECT_EQ(nodes.messages() - before, 2 * (world.rank() < 6 ? 4 : 6));
    }
  });
}

}  // namespace
}  // namespace coe
