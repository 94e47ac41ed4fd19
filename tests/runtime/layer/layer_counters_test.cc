#include "runtime/layer/layer_counters.h"

#include <gtest/gtest.h>

#include "comm/make_transport.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

/// Two tokens: the first chose experts 0 and 2, of which 2 dropped it, the second chose 2.
Routed routed(Arena& arena) {
  Routed made;
  made.routing = routing_of(3, {{{0}, {.expert = 2, .kept = false}}, {{2}}}, arena);
  made.counts = tensor_of<std::int32_t>({1, 3}, {1, 0, 2}, arena);
  return made;
}

TEST(LayerCounters, CountWhatEachIterationChoseAndLost) {
  const auto world = make_transport("local");
  Arena arena;
  const Routed passed = routed(arena);
  DispatchPlan plan;
  plan.send_token = tensor_of<std::int32_t>({2}, {0, 1}, arena);
  LayerCounters counters(2, 3, host_stream());
  for (int twice = 0; twice < 2; ++twice) {
    counters.add_chosen(1, passed);
    counters.add_sent(1, 3, passed, plan, {});
    counters.add_bytes(1, 10);
  }
  const auto read = counters.read({world.get()});
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].load, (std::vector<std::int64_t>{0, 0, 0}));
  EXPECT_EQ(read[1].load, (std::vector<std::int64_t>{2, 0, 4}));
  EXPECT_EQ(read[1].dropped, 2);
  EXPECT_EQ(read[1].rerouted, 0);
  EXPECT_EQ(read[1].bytes_sent, 20);
  counters.clear();
  EXPECT_EQ(counters.read({world.get()})[1].load, (std::vector<std::int64_t>{0, 0, 0}));
  EXPECT_EQ(counters.read({world.get()})[1].bytes_sent, 0);
}

}  // namespace
}  // namespace coe
