#include "runtime/make_exchange.h"

#include <gtest/gtest.h>

#include "comm/local_transport.h"
#include "runtime/one_copy_exchange.h"
#include "runtime/partial_sums_exchange.h"
#include "tests/runtime/routings.h"

namespace coe {
namespace {

/// 2^24, where numbers are 2 apart, plus what two experts make of a token of one number 1: 1 each.
float sum_of_two(ExchangeOrder order) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const std::unique_ptr<Exchange> exchange = make_exchange(order, {alone.get()}, 1, 1, 1);
  Arena arena;
  const Choices tokens = {{{0}, {1}}};
  const Routing routing = routing_of(2, tokens, arena);
  const DispatchPlan plan = make_dispatch_plan(routing, table_of({tokens}, 2, true, arena), Placement(2, 1), 0, arena);
  exchange->begin_dispatch(plan, tensor_of<float>({1, 1}, {1}, arena), routing.weight, nullptr, 0, {"dispatch"});
  const ExpertRows rows = exchange->finish_dispatch(plan, 0, arena);
  std::ranges::copy(rows.rows.span<float>(), exchange->result_rows(plan, 0, arena).rows.data<float>());
  exchange->release(0);
  exchange->begin_combine(plan, 0, {"combine"});
  const Tensor sum = tensor_of<float>({1, 1}, {16777216}, arena);
  exchange->finish_combine(plan, 0, sum, nullptr);
  return sum.data<float>()[0];
}

TEST(MakeExchange, TheOrderDecidesWhatIsAddedUpFirst) {
  // (2^24 + 1) + 1, each sum rounded to even, or 2^24 + (1 + 1).
  EXPECT_EQ(sum_of_two(ExchangeOrder::kExact), 16777216.0F);
  EXPECT_EQ(sum_of_two(ExchangeOrder::kPartialSums), 16777218.0F);
}

TEST(MakeExchange, EachOrderHasItsFastestExchange) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const auto exact = make_exchange(ExchangeOrder::kExact, {alone.get()}, 3, 2, 1);
  const auto sums = make_exchange(ExchangeOrder::kPartialSums, {alone.get()}, 3, 2, 1);
  EXPECT_NE(dynamic_cast<const OneCopyExchange*>(exact.get()), nullptr);
  EXPECT_NE(dynamic_cast<const PartialSumsExchange*>(sums.get()), nullptr);
}

}  // namespace
}  // namespace coe
