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

TEST(RoutingContext, NumbersStandInMemoryAndAreTakenFromThereOnceTheyDo) {
  Arena arena;
  RoutingContext context{.l1_coeff = 0.25, .random = StepRandom{7, 3, 8}};
  const RoutingNumbers numbers = numbers_of(context, 10, arena, host_stream());
  EXPECT_EQ(*numbers.l1_coeff.data<double>(), 0.25);
  for (const RoutingDraw purpose : {RoutingDraw::kJitter, RoutingDraw::kNoise}) {
    const TokenDraw draw = draw_of(numbers.draws, purpose, 2, 5);
    const auto step = draw.step.span<std::int64_t>();
    const RandomKey key = routing_key(*context.random, 2, purpose);
    EXPECT_EQ(static_cast<std::uint64_t>(step[0]), key.seed);
    EXPECT_EQ(step[1] + draw.token, 85);
    EXPECT_EQ(draw.stream, key.stream);
  }
  context.numbers = numbers;
  context.l1_coeff = 1;
  EXPECT_EQ(numbers_of(context, 10, arena, host_stream()).l1_coeff.raw(), numbers.l1_coeff.raw());
}

}  // namespace
}  // namespace coe
