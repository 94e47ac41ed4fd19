#include "runtime/config/nearest_word.h"

#include <gtest/gtest.h>

#include <vector>

namespace coe {
namespace {

TEST(NearestWord, DistanceCountsEditsAndSwapsOfNeighbours) {
  EXPECT_EQ(spelling_distance("", ""), 0U);
  EXPECT_EQ(spelling_distance("", "abc"), 3U);
  EXPECT_EQ(spelling_distance("abc", ""), 3U);
  EXPECT_EQ(spelling_distance("top_k", "topk"), 1U);
  EXPECT_EQ(spelling_distance("gate", "gaet"), 1U);
  EXPECT_EQ(spelling_distance("gate", "gale"), 1U);
  EXPECT_EQ(spelling_distance("kitten", "sitting"), 3U);
}

TEST(NearestWord, IsTheOneWithTheFewestEdits) {
  const std::vector<std::string> words = {"steps", "batch", "seed"};
  EXPECT_EQ(nearest_word("stpes", words), "steps");
  EXPECT_EQ(nearest_word("bach", words), "batch");
  EXPECT_EQ(nearest_word("x", {}), "");
}

}  // namespace
}  // namespace coe
