#include "runtime/routing/grant_places.h"

#include <gtest/gtest.h>

#include <numeric>

#include "comm/local_transport.h"
#include "tests/ranks.h"
#include "tests/runtime/routing/tensors.h"
#include "tests/runtime/routing/thread_seconds.h"

namespace coe {
namespace {

/// Grants places, waiting where ranks must talk.
void granted(DropPolicy policy, std::span<std::int64_t> room, const Asks& asks, const Tensor& counts,
             const Group& group, Arena& arena) {
  PostedCollective talk;
  FrameArena frames;
  run(grant_places({policy, room, counts, group, {"granting"}, &talk, &arena}, asks, frames));
}

/// One rank's asks for two experts with room for 2 and 1: what is granted, and what room and counts become.
struct Granted {
  std::vector<std::uint8_t> granted;
  std::vector<std::int64_t> room;
  std::vector<std::int32_t> counts;
};

Granted granted_of(DropPolicy policy) {
  Arena arena;
  Granted result{.granted = {}, .room = {2, 1}, .counts = {}};
  const Asks asks{tensor_of<std::int32_t>({5}, {0, 0, 1, 0, 0}, arena),
                  tensor_of<float>({5}, {0.5F, 0.25F, 1, 0.75F, 0.5F}, arena), arena.make<std::uint8_t>({5})};
  const Tensor counts = tensor_of<std::int32_t>({1, 2}, {4, 1}, arena);
  on_ranks(1, [&](Transport& world) { granted(policy, result.room, asks, counts, {&world}, arena); });
  result.granted = values_of<std::uint8_t>(asks.granted);
  result.counts = values_of<std::int32_t>(counts);
  return result;
}

TEST(GrantPlaces, ByPositionTheFirstComersGetThem) {
  const Granted result = granted_of(DropPolicy::kPosition);
  EXPECT_EQ(result.granted, (std::vector<std::uint8_t>{1, 1, 1, 0, 0}));
  EXPECT_EQ(result.room, (std::vector<std::int64_t>{0, 0}));
  EXPECT_EQ(result.counts, (std::vector<std::int32_t>{2, 1}));
}

TEST(GrantPlaces, ByProbabilityTheLargestScoresGetThemAndTheEarlierOnATie) {
  const Granted result = granted_of(DropPolicy::kProbability);
  EXPECT_EQ(result.granted, (std::vector<std::uint8_t>{1, 0, 1, 1, 0}));
  EXPECT_EQ(result.room, (std::vector<std::int64_t>{0, 0}));
  EXPECT_EQ(result.counts, (std::vector<std::int32_t>{2, 1}));
}

// As many ranks squared would take 64 times as long.
TEST(GrantPlaces, EightTimesTheRanksTakeNotMuchMoreThanEightTimesAsLong) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const auto seconds = [&](DropPolicy policy, std::int64_t ranks) {
    constexpr std::int64_t kExperts = 1024;
    Arena arena;
    const std::vector<std::int32_t> ones(static_cast<std::size_t>(ranks * kExperts), 1);
    const Tensor counts = tensor_of<std::int32_t>({ranks, kExperts}, ones, arena);
    std::vector<std::int32_t> each(kExperts);
    std::iota(each.begin(), each.end(), 0);
    const Asks asks{tensor_of<std::int32_t>({kExperts}, each, arena), arena.zeros<float>({kExperts}),
                    arena.make<std::uint8_t>({kExperts})};
    return thread_seconds([&] {
      std::vector<std::int64_t> room(kExperts, ranks);
      granted(policy, room, asks, counts, {alone.get()}, arena);
      EXPECT_EQ(room, std::vector<std::int64_t>(kExperts, 0));
    });
  };
  for (const DropPolicy policy : {DropPolicy::kPosition, DropPolicy::kProbability}) {
    EXPECT_LT(seconds(policy, 512), 24 * seconds(policy, 64));
  }
}

TEST(GrantPlacesOnRanks, EarlierRanksComeFirstAndRoomIsTheSameEverywhere) {
  for_each_ranks([](Transport& world) {
    for (const DropPolicy policy : {DropPolicy::kPosition, DropPolicy::kProbability}) {
      Arena arena;
      // Every rank asks once, all scores equal; there is room for the first two ranks.
      std::vector<std::int64_t> room = {2};
      const Asks asks{tensor_of<std::int32_t>({1}, {0}, arena), tensor_of<float>({1}, {1}, arena),
                      arena.make<std::uint8_t>({1})};
      const std::vector<std::int32_t> ones(static_cast<std::size_t>(world.size()), 1);
      const Tensor counts = tensor_of<std::int32_t>({world.size(), 1}, ones, arena);
      granted(policy, room, asks, counts, {&world}, arena);
      EXPECT_EQ(asks.granted.data<std::uint8_t>()[0], world.rank() < 2 ? 1 : 0);
      EXPECT_EQ(room[0], world.size() == 1 ? 1 : 0);
      for (int r = 0; r < world.size(); ++r) EXPECT_EQ(counts.data<std::int32_t>()[r], r < 2 ? 1 : 0);
    }
  });
}

}  // namespace
}  // namespace coe
