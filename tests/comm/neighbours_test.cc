#include "comm/neighbours.h"

#include <gtest/gtest.h>

#include <vector>

#include "comm/collectives.h"
#include "comm/make_transport.h"

namespace coe {
namespace {

constexpr Phase kPhase{.name = "test"};

std::vector<RankPlace> places_of(Transport& world) {
  std::vector<RankPlace> places(static_cast<std::size_t>(world.size()));
  const RankPlace own = own_place();
  all_gather<RankPlace>({&world}, {&own, 1}, places, kPhase);
  return places;
}

std::vector<int> others(const Transport& world) {
  std::vector<int> ranks;
  for (int rank = 0; rank < world.size(); ++rank) {
    if (rank != world.rank()) ranks.push_back(rank);
  }
  return ranks;
}

// The tests' world is the whole job where ranks are threads; under mpirun groups of it have numbers of their own.
TEST(Neighbours, RanksOfOneHostTradeTheirMemoryTimeAndAgain) {
  run_local_ranks(7, [](Transport& world) {
    const auto places = places_of(world);
    Neighbours neighbours({&world}, places);
    EXPECT_EQ(neighbours.hindrance(), "");
    const std::vector<int> peers = others(world);
    for (const int peer : peers) EXPECT_TRUE(neighbours.shares_memory(peer));
    EXPECT_FALSE(neighbours.shares_memory(world.rank()));
    for (int round = 0; round < 20; ++round) {
      const SharedMemory mine = SharedMemory::create(4096);
      mine.data()[0] = static_cast<std::byte>(world.rank() + 7 * round);
      auto theirs = neighbours.trade({&world}, peers, mine.file(), kPhase);
      ASSERT_EQ(theirs.size(), peers.size());
      for (std::size_t i = 0; i < peers.size(); ++i) {
        const SharedMemory mapped = SharedMemory::map(std::move(theirs[i]), mine.bytes());
        EXPECT_EQ(mapped.data()[0], static_cast<std::byte>(peers[i] + 7 * round));
      }
    }
  });
}

TEST(Neighbours, OtherHostsAreReachedByMessages) {
  run_local_ranks(4, [](Transport& world) {
    auto places = places_of(world);
    for (int rank = 2; rank < 4; ++rank) places[static_cast<std::size_t>(rank)].host.front() ^= 1;
    Neighbours neighbours({&world}, places);
    EXPECT_EQ(neighbours.hindrance(), "");
    for (const int peer : others(world)) EXPECT_EQ(neighbours.shares_memory(peer), peer / 2 == world.rank() / 2);
  });
}

TEST(Neighbours, NetworkNamespacesOfTheirOwnAreSaid) {
  run_local_ranks(2, [](Transport& world) {
    auto places = places_of(world);
    places[1].network += 1;
    const Neighbours neighbours({&world}, places);
    EXPECT_FALSE(neighbours.shares_memory(1 - world.rank()));
    EXPECT_NE(
        neighbours.hindrance().find("share no memory and send messages: they have network namespaces of their own"),
        std::string::npos)
        << neighbours.hindrance();
  });
}

TEST(Neighbours, WhoDoesNotComeToATradeIsNamedAfterTheDeadline) {
  run_local_ranks(2, [](Transport& world) {
    const auto places = places_of(world);
    Neighbours neighbours({&world}, places);
    if (world.rank() == 0) {
      const SharedMemory mine = SharedMemory::create(4096);
      const std::vector<int> peers{1};
      try {
        neighbours.trade({&world, std::chrono::milliseconds(100)}, peers, mine.file(), kPhase);
        ADD_FAILURE() << "nobody was there";
      } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "rank 0 waits for rank 1 in test: memory of 0 of 1 ranks has come after 0.1 s");
      }
    }
    barrier({&world}, kPhase);
  });
}

}  // namespace
}  // namespace coe
