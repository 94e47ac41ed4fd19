#include "kernels/memory/tensor.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(Shape, CountsAndPrintsItsExtents) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape().text(), "[]");
  EXPECT_EQ((Shape{3, 4}.elements()), 12);
  EXPECT_EQ((Shape{3, 4}.text()), "[3, 4]");
  EXPECT_EQ((Shape{3, 0, 2}.elements()), 0);
  EXPECT_NE((Shape{3}), (Shape{3, 0}));
}

TEST(Shape, RefusesFiveAxesAndNegativeExtents) {
  EXPECT_EQ(thrown_code([] { Shape{1, 1, 1, 1, 1}; }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([] { Shape{2, -1}; }), ErrorCode::kInternal);
}

TEST(DType, HasTheSizeAndNameOfSafetensors) {
  EXPECT_EQ(size_of(DType::kF32), 4U);
  EXPECT_EQ(size_of(DType::kF64), 8U);
  EXPECT_EQ(size_of(DType::kI32), 4U);
  EXPECT_EQ(size_of(DType::kI64), 8U);
  EXPECT_EQ(size_of(DType::kU8), 1U);
  EXPECT_EQ(size_of(DType::kU16), 2U);
  EXPECT_EQ(name_of(DType::kU16), "U16");
  EXPECT_EQ(name_of(dtype_of<std::int64_t>()), "I64");
}

TEST(Tensor, IsEmptyByDefault) {
  EXPECT_EQ(Tensor().elements(), 0);
  EXPECT_EQ(Tensor().bytes(), 0U);
}

TEST(Tensor, ViewsRowsAndElementsOfItsFirstAxis) {
  const Floats x({3, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const Tensor rows = x.tensor().rows(1, 2), one = x.tensor()[2];
  EXPECT_EQ(rows.shape(), (Shape{2, 2, 2}));
  EXPECT_EQ(rows.data<float>()[0], 4.0F);
  EXPECT_EQ(one.shape(), (Shape{2, 2}));
  EXPECT_EQ(one.data<float>()[3], 11.0F);
  EXPECT_EQ(one[1][1].shape(), Shape());
  EXPECT_EQ(*one[1][1].data<float>(), 11.0F);
  EXPECT_EQ(x.tensor().rows(3, 0).elements(), 0);
}

TEST(Tensor, KnowsHowManyElementsARowHas) {
  EXPECT_EQ(row_elements(Tensor(nullptr, DType::kF32, {7})), 1);
  EXPECT_EQ(row_elements(Tensor(nullptr, DType::kF32, {0, 3, 4})), 12);
}

TEST(Tensor, RefusesRowsOutside) {
  const Floats x({3, 2});
  EXPECT_EQ(thrown_code([&] { x.tensor().rows(2, 2); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { x.tensor().rows(-1, 1); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { x.tensor()[3]; }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { x.tensor()[0][0][0]; }), ErrorCode::kInternal);
}

TEST(Tensor, ReshapesTheSameElements) {
  const Floats x({2, 3}, {0, 1, 2, 3, 4, 5});
  const Tensor flat = x.tensor().reshaped({6});
  EXPECT_EQ(flat.data<float>()[5], 5.0F);
  EXPECT_EQ(thrown_code([&] { x.tensor().reshaped({5}); }), ErrorCode::kInternal);
}

TEST(Tensor, RefusesAnotherDType) {
  EXPECT_EQ(thrown_code([] { Floats({1}).tensor().data<std::int32_t>(); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([] { Floats({1}).tensor().span<double>(); }), ErrorCode::kInternal);
}

TEST(Expect, RefusesOtherShapesAndRanks) {
  const Floats x({2, 3});
  expect_shape("x", x, {2, 3});
  expect_rank("x", x, 2);
  EXPECT_EQ(thrown_code([&] { expect_shape("x", x, {3, 2}); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { expect_rank("x", x, 3); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
