#include "comm/posted_collective.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <vector>

#include "comm/collectives.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/ranks.h"

namespace coe {
namespace {

TEST(PostedCollectiveOnRanks, BringsEverybodysBlocksInRankOrderAgainAndAgain) {
  for_each_ranks([](Transport& world) {
    PostedCollective first, second;
    for (int round = 0; round < 5; ++round) {
      const std::vector<int> mine = {world.rank(), round}, other = {-world.rank()};
      std::vector<int> all(2 * static_cast<std::size_t>(world.size())), others(all.size() / 2);
      first.all_gather({&world}, std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)), {"gather"});
      second.all_gather({&world}, std::as_bytes(std::span(other)), std::as_writable_bytes(std::span(others)),
                        {"gather"});
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

TEST(PostedCollectiveOnRanks, NothingMayBeGathered) {
  for_each_ranks([](Transport& world) {
    PostedCollective gather;
    gather.all_gather({&world}, {}, {}, {"gather"});
    gather.done().get();
  });
}

TEST(PostedCollectiveOnRanks, BringsUnevenBlocksAsTheBlockingOnesDo) {
  for_each_ranks([](Transport& world) {
    const auto ranks = static_cast<std::size_t>(world.size()), me = static_cast<std::size_t>(world.rank());
    // Rank r tells p (r + 2 p) % 3 numbers, and everybody r % 2 of another kind.
    std::vector<std::size_t> to, from, kinds;
    for (std::size_t p = 0; p < ranks; ++p) {
      to.push_back((me + 2 * p) % 3);
      from.push_back((p + 2 * me) % 3);
      kinds.push_back(p % 2);
    }
    const auto sum = [](const std::vector<std::size_t>& all) { return std::accumulate(all.begin(), all.end(), 0UL); };
    std::vector<int> sent(sum(to)), received(sum(from)), wanted(sum(from)), mine(kinds[me], world.rank()),
        all(sum(kinds)), wanted_all(sum(kinds));
    std::iota(sent.begin(), sent.end(), 100 * world.rank());
    PostedCollective numbers, other;
    numbers.all_to_all({&world}, sizeof(int), std::as_bytes(std::span(sent)), to,
                       std::as_writable_bytes(std::span(received)), from, {"all to all"});
    other.all_gather_uneven({&world}, sizeof(int), std::as_bytes(std::span(mine)),
                            std::as_writable_bytes(std::span(all)), kinds, {"gather"});
    numbers.done().get();
    other.done().get();
    all_to_all<int>({&world}, sent, to, wanted, from, {"all to all"});
    all_gather_uneven<int>({&world}, mine, wanted_all, kinds, {"gather"});
    EXPECT_EQ(received, wanted);
    EXPECT_EQ(all, wanted_all);
  });
}

TEST(PostedCollective, RefusesSizesThatDoNotFit) {
  on_ranks(1, [](Transport& world) {
    PostedCollective gather;
    std::vector<int> all(3);
    EXPECT_EQ(thrown_code([&] {
                gather.all_gather({&world}, std::as_bytes(std::span(all).first(1)),
                                  std::as_writable_bytes(std::span(all)), {"gather"});
              }),
              ErrorCode::kBadInput);
  });
}

}  // namespace
}  // namespace coe
