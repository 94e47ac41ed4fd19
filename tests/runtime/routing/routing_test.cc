#include "runtime/routing/routing.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

TEST(Routing, ChoicesAreCountedBeforeAnyIsDropped) {
  Arena arena;
  const Routing routing = routing_of(3, {{{0}, {.expert = 2, .kept = false}}, {{2}}, {{1}}}, arena);
  std::vector<std::int32_t> counts(3, 9);
  count_choices(routing, 0, 2, counts);
  EXPECT_EQ(counts, (std::vector<std::int32_t>{1, 0, 2}));
  count_choices(routing, 2, 1, counts);
  EXPECT_EQ(counts, (std::vector<std::int32_t>{0, 1, 0}));
}

}  // namespace
}  // namespace coe
