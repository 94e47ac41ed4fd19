#include "launcher/bench/alltoallv_exchange.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/memory/random.h"
#include "launcher/bench/random_traffic.h"
#include "runtime/exchange/reference_exchange.h"
#include "tests/ranks.h"

namespace coe {
namespace {

/// What comes back when expert rows are returned doubled, and the rows that arrived, one after the other.
std::vector<float> there_and_back(Exchange& exchange, const DispatchPlan& plan, const Tensor& weights,
                                  const Tensor& x) {
  Arena arena;
  const Phase phase{"test"};
  Flight flight = exchange.begin(plan, {.x = &x, .weights = weights}, phase);
  const ExpertRows rows = flight.arrived().get();
  std::vector<float> seen(rows.rows.span<float>().begin(), rows.rows.span<float>().end());
  std::ranges::transform(rows.rows.span<float>(), flight.results().rows.data<float>(),
                         [](float value) { return 2 * value; });
  const Tensor sum = arena.zeros<float>(x.shape());
  flight.send_back(phase);
  flight.combine({.sum = sum}, {}).get();
  seen.insert(seen.end(), sum.span<float>().begin(), sum.span<float>().end());
  return seen;
}

TEST(AlltoallvExchangeOnRanks, MovesWhatTheReferenceMoves) {
  for_each_ranks([](Transport& world) {
    const Group group{&world};
    const auto exchange = make_alltoallv_exchange(group, 5);
    ASSERT_EQ(exchange != nullptr, ranks_are_processes());
    if (exchange == nullptr) return;
    Benchmark benchmark;
    benchmark.tokens = 20;
    benchmark.layer.experts = 6;  // fewer than the ranks of the largest job
    benchmark.layer.top_k = 3;
    Arena arena;
    const Routing routing = random_routing(benchmark, world.rank(), arena);
    const DispatchPlan plan = plan_of(routing, Placement(6, world.size()), group, arena);
    const Tensor x = arena.make<float>({20, 5});
    fill_normal(x, {3, static_cast<std::uint64_t>(world.rank())}, 0, 1);
    ReferenceExchange reference(group, 5);
    EXPECT_EQ(there_and_back(*exchange, plan, routing.weight, x), there_and_back(reference, plan, routing.weight, x));
    EXPECT_EQ(exchange->bytes_sent(), reference.bytes_sent());
  });
}

}  // namespace
}  // namespace coe
