#include "runtime/routing/routing_context.h"

#include <gtest/gtest.h>

#include <set>

namespace coe {
namespace {

TEST(RoutingContext, EveryStepPlaceAndPurposeHasNumbersOfItsOwn) {
  std::set<std::uint64_t> drawn;
  for (const std::uint64_t seed : {1, 2}) {
    for (const std::int64_t step : {1, 2}) {
      for (const std::int64_t place : {0, 1}) {
        for (const RoutingDraw purpose : {RoutingDraw::kJitter, RoutingDraw::kNoise}) {
          drawn.insert(random_bits(routing_key({seed, step, 0}, place, purpose), 0));
        }
      }
    }
  }
  EXPECT_EQ(drawn.size(), 16U);
}

TEST(RoutingContext, TheNumbersOfAStepDoNotDependOnItsMicroBatches) {
  const RandomKey one = routing_key({7, 3, 0}, 2, RoutingDraw::kNoise);
  const RandomKey other = routing_key({7, 3, 8}, 2, RoutingDraw::kNoise);
  EXPECT_EQ(random_bits(one, 11), random_bits(other, 11));
}

}  // namespace
}  // namespace coe
