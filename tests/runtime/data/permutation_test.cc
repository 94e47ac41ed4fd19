#include "runtime/data/permutation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "tests/bad_input.h"

namespace coe {

namespace {

std::vector<std::uint64_t> order(RandomKey key, std::uint64_t size) {
  std::vector<std::uint64_t> places(size);
  for (std::uint64_t i = 0; i < size; ++i) places[i] = permute(key, i, size);
  return places;
}

TEST(PermutationTest, MeetsEveryPlaceOnceAtAnySize) {
  for (const std::uint64_t size : {1, 2, 3, 4, 5, 7, 16, 17, 64, 65, 100, 1000, 4097}) {
    std::vector<std::uint64_t> places = order({3, 4}, size);
    std::ranges::sort(places);
    std::vector<std::uint64_t> all(size);
    std::iota(all.begin(), all.end(), 0U);
    EXPECT_EQ(places, all) << "size " << size;
  }
}

TEST(PermutationTest, DependsOnSeedAndStreamAlone) {
  EXPECT_EQ(order({1, 2}, 100), order({1, 2}, 100));
  EXPECT_NE(order({1, 2}, 100), order({1, 3}, 100));
  EXPECT_NE(order({1, 2}, 100), order({2, 2}, 100));
}

TEST(PermutationTest, LeavesFewPlacesWhereTheyWere) {
  // A random permutation has one fixed point on average, and more than 20 with a chance below 1e-18.
  const std::vector<std::uint64_t> places = order({5, 6}, 10'000);
  int fixed = 0;
  for (std::uint64_t i = 0; i < places.size(); ++i) fixed += places[i] == i ? 1 : 0;
  EXPECT_LE(fixed, 20);
}

TEST(PermutationTest, WorksAtSizesThatFitNoMemory) {
  const std::uint64_t size = (std::uint64_t{1} << 62) + 12345;
  EXPECT_LT(permute({1, 1}, size - 1, size), size);
  EXPECT_NE(permute({1, 1}, 0, size), permute({1, 1}, 1, size));
}

TEST(PermutationTest, RefusesAnIndexOutside) {
  EXPECT_EQ(bad_input([] { permute({1, 1}, 5, 5); }), "permutation: index is 5, must be below 5");
}

}  // namespace

}  // namespace coe
