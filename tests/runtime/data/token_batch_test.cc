#include "runtime/data/token_batch.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"
#include "tests/runtime/data/counting_source.h"

namespace coe {
namespace {

constexpr std::int64_t kLength = 4;

TEST(TokenBatchOnRanks, EveryRankReadsItsSequencesAndTheNextTokens) {
  for_each_ranks([](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    const Batch batch = deal_batch(3, kLength, groups);
    Arena arena;
    const TokenBatch tokens = read_token_batch(CountingSource(), 2, batch, arena);
    ASSERT_EQ(tokens.ids.elements(), batch.tokens());
    for (std::int64_t i = 0; i < batch.tokens(); ++i) {
      const std::int64_t sequence = 2 + batch.first_sequence + i / kLength;
      EXPECT_EQ(tokens.ids.data<std::int32_t>()[i], 10 * sequence + i % kLength);
      EXPECT_EQ(tokens.labels.data<std::int32_t>()[i], 10 * sequence + i % kLength + 1);
    }
  });
}

}  // namespace
}  // namespace coe
