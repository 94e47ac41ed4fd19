#include "runtime/ranks/posted_sums.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "comm/collectives.h"
#include "comm/make_transport.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/ranks.h"

namespace coe {
namespace {

constexpr Phase kPhase{"test"};

/// Numbers whose float sums depend on the order.
float number(int rank, std::size_t sum, std::size_t i) {
  return 1.0F / static_cast<float>(1 + (i * 7 + sum * 31 + static_cast<std::size_t>(rank) * 13) % 1009);
}

std::vector<float> numbers(int rank, std::size_t sum, std::size_t n) {
  std::vector<float> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = number(rank, sum, i);
  return all;
}

void expect_own_part(const std::vector<float>& values, std::size_t sum, const Transport& world) {
  const std::size_t each = values.size() / static_cast<std::size_t>(world.size());
  const std::size_t first = each * static_cast<std::size_t>(world.rank());
  for (std::size_t i = first; i < first + each; ++i) {
    float wanted = number(0, sum, i);
    for (int rank = 1; rank < world.size(); ++rank) wanted += number(rank, sum, i);
    ASSERT_EQ(values[i], wanted) << "sum " << sum << ", element " << i;
  }
}

TEST(PostedSumsOnRanks, EachRankHasItsPartsOfMoreSumsThanAreUnderWayAtOnce) {
  for_each_ranks([](Transport& world) {
    const auto ranks = static_cast<std::size_t>(world.size());
    int told = 0;
    PostedSums sums({&world}, 5 * world.size(), [&](double) { ++told; });
    for (int round = 0; round < 3; ++round) {
      std::vector<std::vector<float>> all;
      for (const std::size_t each : {5, 1, 3, 5, 2}) all.push_back(numbers(world.rank(), all.size(), each * ranks));
      for (std::vector<float>& values : all) sums.begin(values, kPhase);
      EXPECT_FALSE(sums.done());
      sums.advance();
      EXPECT_EQ(told, 5 * round) << "none has been under way before";
      sums.advance();
      EXPECT_EQ(told, 5 * round + 2);
      while (!sums.done()) sums.advance();
      EXPECT_EQ(told, 5 * round + 5);
      for (std::size_t i = 0; i < all.size(); ++i) expect_own_part(all[i], i, world);
    }
  });
}

TEST(PostedSumsOnRanks, OtherMessagesGoOnBesideThem) {
  on_ranks(2, [](Transport& world) {
    std::vector<float> values = numbers(world.rank(), 0, 1 << 20);
    PostedSums sums({&world}, std::ssize(values), [](double) {});
    sums.begin(values, kPhase);
    sums.advance();
    double other = world.rank();
    all_reduce_sum<double>({&world}, {&other, 1}, kPhase);
    EXPECT_EQ(other, 1);
    EXPECT_FALSE(sums.done());
    sums.advance();
    EXPECT_TRUE(sums.done());
    expect_own_part(values, 0, world);
  });
}

TEST(PostedSums, OneThatLacksARankFailsAndIsTakenBack) {
  run_local_ranks(2, [](Transport& world) {
    if (world.rank() == 1) return;
    std::vector<float> values(64);
    PostedSums sums({&world, std::chrono::milliseconds(100)}, 64, [](double) {});
    sums.begin(values, kPhase);
    sums.begin(values, kPhase);
    sums.advance();
    EXPECT_EQ(thrown_code([&] { sums.advance(); }), ErrorCode::kPeer);
  });
}

}  // namespace
}  // namespace coe
