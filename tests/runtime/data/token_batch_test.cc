#include "runtime/data/token_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ranks.h"
#include "tests/runtime/data/counting_source.h"

namespace coe {
namespace {

constexpr std::int64_t kLength = 4;

TEST(TokenBatchOnRanks, MarksTakeLabelsOutAndSequencesApart) {
  // Token 2 begins a document, token 3 does not count, nor would token 0 if it were a label.
  const MarkedSource source({kUncounted, 0, kBegins, kUncounted, 0});
  for_each_ranks([&](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    const Batch batch = deal_batch(3, kLength, groups);
    Arena arena;
    const TokenBatch tokens = read_token_batch(source, 0, batch, arena);
    ASSERT_EQ(tokens.documents.size(), static_cast<std::size_t>(2 * batch.sequences));
    EXPECT_EQ(tokens.counted, 2 * batch.sequences);
    for (std::int64_t b = 0; b < batch.sequences; ++b) {
      const auto first = static_cast<std::int32_t>(10 * (batch.first_sequence + b));
      const auto labels = tokens.labels.rows(b * kLength, kLength).span<std::int32_t>();
      EXPECT_THAT(labels, testing::ElementsAre(first + 1, -1, -1, first + 4));
      EXPECT_THAT(tokens.documents.subspan(static_cast<std::size_t>(2 * b), 2), testing::ElementsAre(2, 2));
    }
  });
}

TEST(TokenBatchOnRanks, ADocumentThatBeginsWithTheLastLabelIsNoneOfThisSequence) {
  const MarkedSource source({0, 0, 0, 0, kBegins});
  on_ranks(1, [&](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    Arena arena;
    const TokenBatch tokens = read_token_batch(source, 0, deal_batch(1, kLength, groups), arena);
    EXPECT_THAT(tokens.documents, testing::ElementsAre(4));
    EXPECT_EQ(tokens.counted, 3);
  });
}

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
