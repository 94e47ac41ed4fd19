#include "runtime/ranks/stop.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(StopOnRanks, OneThatIsAskedStopsAll) {
  for_each_ranks([](Transport& transport) {
    const int last = transport.size() - 1;
    const auto asked = [&] { return transport.rank() == last; };
    EXPECT_TRUE(agree_to_stop({&transport}, asked));
    EXPECT_THROW(look_for_stop({&transport}, asked), Stopped);
  });
}

TEST(StopOnRanks, NobodyAskedNobodyStops) {
  for_each_ranks([](Transport& transport) {
    EXPECT_FALSE(agree_to_stop({&transport}, [] { return false; }));
    EXPECT_NO_THROW(look_for_stop({&transport}, [] { return false; }));
  });
}

TEST(StopOnRanks, WhereNobodyCanAskNothingIsSent) {
  for_each_ranks([](Transport& transport) {
    const std::uint64_t before = transport.messages_sent();
    look_for_stop({&transport}, {});
    EXPECT_EQ(transport.messages_sent(), before);
  });
}

}  // namespace
}  // namespace coe
