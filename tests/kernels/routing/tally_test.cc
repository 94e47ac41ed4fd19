#include "kernels/routing/tally.h"

#include <gtest/gtest.h>

#include "kernels/memory/error.h"
#include "tests/kernels/memory/owned_tensor.h"

namespace coe {
namespace {

using Longs = Owned<std::int64_t>;

TEST(Tally, AddsCountsToSums) {
  const Ints counts({3}, {1, 0, 7});
  const Longs sums({3}, {std::int64_t{1} << 40, 2, 3});
  tally(counts, sums, host_stream());
  EXPECT_EQ(sums.values(), (std::vector<std::int64_t>{(std::int64_t{1} << 40) + 1, 2, 10}));
}

TEST(Tally, TakesOneCountForEachSum) {
  const Ints counts({3});
  const Longs sums({2});
  EXPECT_THROW(tally(counts, sums, host_stream()), Error);
}

}  // namespace
}  // namespace coe
