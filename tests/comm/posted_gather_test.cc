#include "comm/posted_gather.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <vector>

#include "tests/kernels/memory/thrown_code.h"
#include "tests/ranks.h"

namespace coe {
namespace {

TEST(PostedGatherOnRanks, BringsEverybodysBlocksInRankOrderAgainAndAgain) {
  for_each_ranks([](Transport& world) {
    PostedGather first, second;
    for (int round = 0; round < 5; ++round) {
      const std::vector<int> mine = {world.rank(), round}, other = {-world.rank()};
      std::vector<int> all(2 * static_cast<std::size_t>(world.size())), others(all.size() / 2);
      first.post({&world}, std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)), {"gather"});
      second.post({&world}, std::as_bytes(std::span(other)), std::as_writable_bytes(std::span(others)), {"gather"});
      first.done().get();
      second.done().get();
      for (int rank = 0; rank < world.size(); ++rank) {
        const auto at = static_cast<std::size_t>(rank);
        EXPECT_EQ(all[2 * at], rank);
        EXPECT_EQ(all[2 * at + 1], round);
        EXPECT_EQ(others[at], -rank);
      }
    }
  });
}

TEST(PostedGatherOnRanks, NothingMayBeGathered) {
  for_each_ranks([](Transport& world) {
    PostedGather gather;
    gather.post({&world}, {}, {}, {"gather"});
    gather.done().get();
  });
}

TEST(PostedGather, RefusesSizesThatDoNotFit) {
  on_ranks(1, [](Transport& world) {
    PostedGather gather;
    std::vector<int> all(3);
    EXPECT_EQ(thrown_code([&] {
                gather.post({&world}, std::as_bytes(std::span(all).first(1)), std::as_writable_bytes(std::span(all)),
                            {"gather"});
              }),
              ErrorCode::kBadInput);
  });
}

}  // namespace
}  // namespace coe
