#include "kernels/routing/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

using testing::ElementsAre;

TEST(GatherRows, TakesTheNamedRows) {
  const Floats x({3, 2}, {0, 1, 10, 11, 20, 21}), out({4, 2});
  gather_rows(x, Ints({4}, {2, 0, 2, 1}), out);
  EXPECT_THAT(out.values(), ElementsAre(20, 21, 0, 1, 20, 21, 10, 11));
  gather_rows(x, Ints({0}), Floats({0, 2}));
}

TEST(GatherRows, RefusesIndicesOutside) {
  const Floats x({3, 2}), out({1, 2});
  EXPECT_EQ(thrown_code([&] { gather_rows(x, Ints({1}, {3}), out); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { gather_rows(x, Ints({1}, {-1}), out); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { gather_rows(x, Ints({2}), out); }), ErrorCode::kInternal);
}

TEST(CombineRows, SumsWeightedRowsWhateverWasThere) {
  const Floats rows({3, 2}, {1, 2, 10, 20, 100, 200}), sum({3, 2}, {NAN, NAN, 7, 7, 0, 0});
  const std::vector<const float*> row_of = {rows.begin() + 4, rows.begin(), nullptr, rows.begin() + 2};
  combine_rows(row_of, Ints({4}, {0, 2, 2, 4}), Floats({4}, {2, 3, NAN, -1}), sum);
  EXPECT_THAT(sum.values(), ElementsAre(203, 406, 0, 0, -10, -20));
}

TEST(CombineRows, WithoutWeightsAddsRows) {
  const Floats rows({2, 1}, {1, 10}), sum({1, 1});
  combine_rows(std::vector<const float*>{rows.begin() + 1, rows.begin()}, Ints({2}, {0, 2}), Tensor(), sum);
  EXPECT_EQ(sum[0], 11.0F);
}

TEST(CombineRows, AddsInAscendingOrder) {
  constexpr float kHuge = 0x1p24F;  // adding 1 to it changes nothing
  const Floats one({1}, {1}), up({1}, {kHuge}), down({1}, {-kHuge}), sum({1, 1}, {0});
  combine_rows(std::vector<const float*>{up.begin(), one.begin(), down.begin()}, Ints({2}, {0, 3}), Tensor(), sum);
  EXPECT_EQ(sum[0], 0.0F);
  combine_rows(std::vector<const float*>{up.begin(), down.begin(), one.begin()}, Ints({2}, {0, 3}), Tensor(), sum);
  EXPECT_EQ(sum[0], 1.0F);
}

TEST(CombineRows, RefusesPlansThatDoNotFit) {
  const Floats row({1}), sum({1, 1});
  const std::vector<const float*> rows = {row.begin(), row.begin()};
  EXPECT_EQ(thrown_code([&] { combine_rows(rows, Ints({2}, {0, 3}), Tensor(), sum); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { combine_rows(rows, Ints({2}, {2, 1}), Tensor(), sum); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { combine_rows(rows, Ints({3}), Tensor(), sum); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { combine_rows(rows, Ints({2}, {0, 2}), Floats({1}), sum); }), ErrorCode::kInternal);
}

TEST(Add, ScalesWhatIsThere) {
  const Floats x({2, 2}, {1, 2, 3, 4}), y({2, 2}, {10, 20, 30, 40});
  add(x, 1.0F, y);
  EXPECT_THAT(y.values(), ElementsAre(11, 22, 33, 44));
  add(x, -2.0F, y);
  EXPECT_THAT(y.values(), ElementsAre(-21, -42, -63, -84));
  EXPECT_EQ(thrown_code([&] { add(x, 1.0F, Floats({4})); }), ErrorCode::kInternal);
}

TEST(Add, BetaZeroForgetsNaN) {
  const Floats x({2}, {1, 2}), y({2}, {NAN, INFINITY});
  add(x, 0.0F, y);
  EXPECT_THAT(y.values(), ElementsAre(1, 2));
}

}  // namespace
}  // namespace coe
