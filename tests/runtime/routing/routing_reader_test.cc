#include "runtime/routing/routing_reader.h"

#include <gtest/gtest.h>

#include "comm/local_transport.h"
#include "tests/runtime/routing/recorded_model.h"

namespace coe {
namespace {

TEST(RoutingReader, OnTheHostCountsAtOnce) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  Arena arena;
  RoutingCounter counter(empty_routing_record(model_of(1, 3, 2)));
  RoutingReader reader({alone.get()}, host_stream());
  reader.count_in(&counter);
  reader.add(0, 0, routing_of(3, {{{0}, {1}}, {{.expert = 2, .kept = false}}}, arena));
  EXPECT_EQ(counter.sum({alone.get()}).load, (std::vector<std::int64_t>{1, 1, 0, 0, 0, 0}));
  EXPECT_EQ(counter.sum({alone.get()}).dropped, (std::vector<std::int64_t>{1, 0}));
}

TEST(RoutingReader, WithoutACounterHasNothingToDo) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  Arena arena;
  RoutingReader reader({alone.get()}, host_stream());
  reader.finish();
  EXPECT_THROW(reader.add(0, 0, routing_of(3, {{{0}}}, arena)), Error);
}

}  // namespace
}  // namespace coe
