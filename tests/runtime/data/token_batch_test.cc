#include "runtime/data/token_batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/ranks.h"

namespace coe {
namespace {

constexpr std::int64_t kLength = 4;

/// Token i of sequence n is 10 n + i; there are five sequences.
class CountingSource : public TokenSource {
 public:
  void read(std::int64_t index, std::span<std::int32_t> tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = static_cast<std::int32_t>(10 * index) + static_cast<int>(i);
  }
  std::int64_t sequences() const override { return 5; }
  std::int64_t vocab() const override { return 256; }
};

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

TEST(TokenBatchOnRanks, AModelThatKnowsNothingLosesTheLogarithmOfItsVocabulary) {
  for_each_ranks([](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    ModelConfig config;
    config.hidden = 8;
    config.layers = 1;
    config.heads = 2;
    config.sequence = kLength;
    config.layer.expert_hidden = 4;
    config.layer.experts = 4;
    config.layer.top_k = 1;
    Model model(config, groups, {.trained = false});  // all weights are 0, and so are all logits
    Arena arena;
    EXPECT_NEAR(mean_loss(model, groups, CountingSource(), 100, 2, arena), std::log(256.0), 1e-5);
  });
}

}  // namespace
}  // namespace coe
