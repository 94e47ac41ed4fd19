#include "runtime/ranks/batch.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/ranks.h"

namespace coe {
namespace {

std::int64_t sum_over(Group group, std::int64_t value) {
  all_reduce_sum<std::int64_t>(group, {&value, 1}, {"sum"});
  return value;
}

TEST(BatchOnRanks, RanksTogetherHaveEverySequenceOnce) {
  for_each_ranks([](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    for (const std::int64_t sequences : {0, 1, 3, 16}) {
      const Batch batch = deal_batch(sequences, 5, groups);
      EXPECT_EQ(sum_over(groups.world(), batch.sequences), sequences);
      EXPECT_EQ(batch.world_sequences, sequences);
      EXPECT_EQ(batch.group_sequences, sequences);
      EXPECT_EQ(batch.length, 5);
      EXPECT_EQ(batch.tokens(), 5 * batch.sequences);
      EXPECT_EQ(batch.share, 1.0);

      std::vector<std::int64_t> counts(static_cast<std::size_t>(world.size()));
      all_gather<std::int64_t>(groups.world(), std::array{batch.sequences}, counts, {"counts"});
      std::int64_t before = 0;
      for (std::size_t rank = 0; rank < static_cast<std::size_t>(world.rank()); ++rank) before += counts[rank];
      EXPECT_EQ(batch.first_sequence, before);
    }
  });
}

TEST(BatchOnRanks, TwoGroupsOfTwoCountTheirOwnSequences) {
  on_ranks(4, [](Transport& world) {
    const RankGroups groups(world, 2, kDefaultDeadline);
    // 6 sequences over 4 ranks are 2, 2, 1, 1.
    const Batch batch = deal_batch(6, 3, groups);
    constexpr std::array<std::int64_t, 4> kFirst = {0, 2, 4, 5}, kCount = {2, 2, 1, 1}, kGroup = {4, 4, 2, 2};
    const auto rank = static_cast<std::size_t>(world.rank());
    EXPECT_EQ(batch.first_sequence, kFirst[rank]);
    EXPECT_EQ(batch.sequences, kCount[rank]);
    EXPECT_EQ(batch.group_sequences, kGroup[rank]);
    EXPECT_EQ(batch.group_tokens(), 3 * kGroup[rank]);
    EXPECT_EQ(batch.world_sequences, 6);
    EXPECT_EQ(batch.world_tokens(), 18);
  });
}

TEST(Batch, ChunksTogetherHaveEverySequenceOnce) {
  // Of three ranks with 3, 2 and 2 sequences the first, in chunks of 2 and 1; the others have at most 1 in each.
  const Batch batch{.first_sequence = 4, .sequences = 3, .length = 5, .group_sequences = 7, .world_sequences = 9};
  const Batch first = chunk_of(batch, 0, 2, 3), second = chunk_of(batch, 1, 2, 3);
  EXPECT_EQ(first.first_sequence, 4);
  EXPECT_EQ(first.sequences, 2);
  EXPECT_EQ(second.first_sequence, 6);
  EXPECT_EQ(second.sequences, 1);
  for (const Batch& chunk : {first, second}) {
    EXPECT_EQ(chunk.group_sequences, 6) << "at most, as no rank knows who has the longer share";
    EXPECT_EQ(chunk.most_tokens(3), 10);
    EXPECT_EQ(chunk.world_sequences, 9);
    EXPECT_EQ(chunk.length, 5);
  }
}

TEST(Batch, OneChunkIsTheWholeAndManyMayBeEmpty) {
  const Batch batch{.first_sequence = 4, .sequences = 3, .length = 5, .group_sequences = 7, .world_sequences = 9};
  EXPECT_EQ(chunk_of(batch, 0, 1, 3).sequences, 3);
  EXPECT_EQ(chunk_of(batch, 0, 1, 3).group_sequences, 7);
  EXPECT_EQ(chunk_of(batch, 8, 9, 3).sequences, 0);
  EXPECT_EQ(chunk_of(batch, 8, 9, 3).group_sequences, 3);
}

TEST(BatchOnRanks, AGroupMayHaveNoSequence) {
  on_ranks(4, [](Transport& world) {
    const RankGroups groups(world, 2, kDefaultDeadline);
    const Batch batch = deal_batch(1, 3, groups);
    EXPECT_EQ(batch.sequences, world.rank() == 0 ? 1 : 0);
    EXPECT_EQ(batch.group_sequences, world.rank() < 2 ? 1 : 0);
    EXPECT_EQ(batch.world_sequences, 1);
  });
}

}  // namespace
}  // namespace coe
