#include "kernels/routing/topk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// By a stable sort of everything, then of the chosen indices.
std::vector<std::int32_t> sorted_topk(const std::vector<float>& row, std::size_t k) {
  std::vector<std::int32_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t i, std::int32_t j) {
    return row[static_cast<std::size_t>(i)] > row[static_cast<std::size_t>(j)];
  });
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

TEST(Topk, EqualsASortOfEverything) {
  for (const std::int64_t n : {1, 8, 64, 300}) {
    for (const std::int64_t k : {1, 2, 8, 32, 300}) {
      if (k > n) continue;
      const Floats scores = normal_tensor({9, n}, static_cast<unsigned>(n));
      for (float& score : scores) score = std::round(score * 8) / 8;  // many ties
      const Ints indices({9, k});
      topk(scores, indices);
      for (std::int64_t row = 0; row < 9; ++row) {
        const auto values = scores.tensor()[row].span<float>();
        const auto chosen = indices.tensor()[row].span<std::int32_t>();
        EXPECT_EQ(std::vector(chosen.begin(), chosen.end()),
                  sorted_topk({values.begin(), values.end()}, static_cast<std::size_t>(k)));
      }
    }
  }
}

TEST(Topk, OnATieTheLowerIndexWins) {
  const Ints indices({2, 2});
  topk(Floats({2, 4}, {1, 2, 2, 2, 0.0F, -0.0F, 0.0F, -1}), indices);
  EXPECT_THAT(indices.values(), ElementsAre(1, 2, 0, 1));
}

TEST(Topk, OfNoTokensIsNothing) { topk(Floats({0, 4}), Ints({0, 2})); }

TEST(Topk, RefusesScoresThatAreNotFiniteAndNamesTheRow) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    const Floats scores({3, 2}, {1, 2, 3, 4, 5, bad});
    try {
      topk(scores, Ints({3, 1}));
      ADD_FAILURE() << "took " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("row 2"));
    }
  }
}

TEST(Topk, RefusesTooManyOrNone) {
  EXPECT_EQ(thrown_code([] { topk(Floats({2, 3}), Ints({2, 4})); }), ErrorCode::kBadInput);
  EXPECT_EQ(thrown_code([] { topk(Floats({2, 3}), Ints({2, 0})); }), ErrorCode::kBadInput);
  EXPECT_EQ(thrown_code([] { topk(Floats({2, 3}), Ints({3, 1})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([] { topk(Floats({2, 3}), Floats({2, 1})); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
