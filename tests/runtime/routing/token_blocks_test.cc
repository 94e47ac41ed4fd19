#include "runtime/routing/token_blocks.h"

#include <gtest/gtest.h>

#include <vector>

namespace coe {
namespace {

std::vector<std::int64_t> blocks_of(std::int64_t tokens, std::int64_t hidden) {
  std::vector<std::int64_t> counts;
  std::int64_t next = 0;
  for_each_token_block(Tensor(nullptr, DType::kF32, {tokens, hidden}), [&](std::int64_t first, std::int64_t count) {
    EXPECT_EQ(first, next);
    next += count;
    counts.push_back(count);
  });
  EXPECT_EQ(next, tokens);
  return counts;
}

TEST(TokenBlocks, AreOf128KiBAtMostAndNearlyEven) {
  EXPECT_EQ(blocks_of(256, 256), (std::vector<std::int64_t>{128, 128}));
  EXPECT_EQ(blocks_of(257, 256), (std::vector<std::int64_t>{85, 86, 86}));
  EXPECT_EQ(blocks_of(5, 256), (std::vector<std::int64_t>{5}));
}

TEST(TokenBlocks, HoldATokenAtLeast) {
  EXPECT_EQ(blocks_of(3, std::int64_t{1} << 20), (std::vector<std::int64_t>{1, 1, 1}));
  EXPECT_EQ(blocks_of(0, 256), std::vector<std::int64_t>{});
}

}  // namespace
}  // namespace coe
