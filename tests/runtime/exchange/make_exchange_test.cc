#include "runtime/exchange/make_exchange.h"

#include <gtest/gtest.h>

#include "comm/local_transport.h"
#include "runtime/exchange/one_copy_exchange.h"
#include "runtime/exchange/partial_sums_exchange.h"
#include "tests/ranks.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

/// A token's sum of 2^24, where numbers are 2 apart, from expert 0 on rank 0, and of 1 each from two experts of rank 1.
float sum_of_three(ExchangeOrder order, Transport& world) {
  const std::unique_ptr<Exchange> exchange = make_exchange(order, {&world}, {1});
  Arena arena;
  const std::vector<Choices> tokens = {{{{0}, {2}, {3}}}, {}};
  const Routing routing = routing_of(4, tokens[static_cast<std::size_t>(world.rank())], arena);
  const DispatchPlan plan =
      make_dispatch_plan(routing, table_of(tokens, 4, true, arena), Placement(4, 2), world.rank(), arena);
  const Tensor x = tensor_of<float>({routing.tokens(), 1}, std::vector<float>(world.rank() == 0 ? 1 : 0, 1), arena);
  Flight flight = exchange->begin(plan, {.x = &x, .weights = routing.weight}, {"dispatch"});
  flight.arrived().get();
  std::ranges::fill(flight.results().rows.span<float>(), world.rank() == 0 ? 0x1p24F : 1.0F);
  flight.send_back({"combine"});
  const Tensor sum = arena.make<float>(x.shape());
  flight.combine({.sum = sum}, {}).get();
  return world.rank() == 0 ? sum.data<float>()[0] : 0;
}

TEST(MakeExchange, TheOrderDecidesWhatIsAddedUpFirst) {
  on_ranks(2, [](Transport& world) {
    // (2^24 + 1) + 1, each sum rounded to even, or 2^24 + (1 + 1).
    const float exact = sum_of_three(ExchangeOrder::kExact, world);
    const float partial = sum_of_three(ExchangeOrder::kPartialSums, world);
    if (world.rank() != 0) return;
    EXPECT_EQ(exact, 0x1p24F);
    EXPECT_EQ(partial, 0x1p24F + 2);
  });
}

TEST(MakeExchange, EachOrderHasItsFastestExchange) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const auto exact = make_exchange(ExchangeOrder::kExact, {alone.get()}, {3});
  const auto sums = make_exchange(ExchangeOrder::kPartialSums, {alone.get()}, {3});
  EXPECT_NE(dynamic_cast<const OneCopyExchange*>(exact.get()), nullptr);
  EXPECT_NE(dynamic_cast<const PartialSumsExchange*>(sums.get()), nullptr);
}

}  // namespace
}  // namespace coe
