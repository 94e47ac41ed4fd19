#include "kernels/products/gemm_tile.h"

#include <gtest/gtest.h>

#include <vector>

namespace coe {
namespace {

TEST(TransposeLanes, SwapsRowsAndColumns) {
  std::array<Lanes, kGemmLanes> square;
  for (int row = 0; row < kGemmLanes; ++row) {
    for (int column = 0; column < kGemmLanes; ++column) square[row][column] = static_cast<float>(100 * row + column);
  }
  transpose_lanes(square);
  for (int row = 0; row < kGemmLanes; ++row) {
    for (int column = 0; column < kGemmLanes; ++column) EXPECT_EQ(square[row][column], 100 * column + row);
  }
}

TEST(GemmTile, MultipliesRowsByAPanelAndAddsOnRequest) {
  // Rows (1, 2) and (3, 4), a panel whose two rows hold 1, 2, 3, ... and tens of these.
  constexpr int kWidth = kGemmLanes;
  std::vector<float> panel(2 * kWidth), out(2 * kWidth, 5.0F);
  for (int i = 0; i < kWidth; ++i) {
    panel[static_cast<std::size_t>(i)] = static_cast<float>(i + 1);
    panel[static_cast<std::size_t>(kWidth + i)] = static_cast<float>(10 * (i + 1));
  }
  const std::vector<float> plain = {1, 2, 3, 4}, transposed = {1, 3, 2, 4};
  gemm_tile<2, 1, false>({plain.data(), 2, 1}, panel.data(), 2, false, out.data(), kWidth);
  for (int i = 0; i < kWidth; ++i) {
    EXPECT_EQ(out[static_cast<std::size_t>(i)], 21.0F * static_cast<float>(i + 1));
    EXPECT_EQ(out[static_cast<std::size_t>(kWidth + i)], 43.0F * static_cast<float>(i + 1));
  }
  gemm_tile<2, 1, true>({transposed.data(), 1, 2}, panel.data(), 2, true, out.data(), kWidth);
  EXPECT_EQ(out[0], 42.0F);
  EXPECT_EQ(out[static_cast<std::size_t>(kWidth)], 86.0F);
}

}  // namespace
}  // namespace coe
