#include "comm/mpi_blocks.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

#include "tests/ranks.h"

namespace coe {
namespace {

/// Bytes and blocks of every part.
using Parts = std::vector<std::pair<std::size_t, std::size_t>>;

Parts cut(const std::vector<Piece>& pieces, std::size_t longest) {
  MpiBlocks blocks;
  Parts parts;
  blocks.cut(pieces, longest, [&](const MpiBlocks& part) { parts.emplace_back(part.bytes(), part.blocks()); });
  return parts;
}

TEST(MpiBlocksOnRanks, WhatLiesTogetherIsOneBlock) {
  if (!ranks_are_processes()) GTEST_SKIP() << "ranks are threads";
  std::array<std::byte, 100> memory{};
  EXPECT_EQ(cut({}, 50), Parts());
  EXPECT_EQ(cut({{memory.data(), 0}, {nullptr, 0}}, 50), Parts());
  EXPECT_EQ(cut({{memory.data(), 10}, {memory.data() + 10, 0}, {memory.data() + 10, 5}}, 50), (Parts{{15, 1}}));
  EXPECT_EQ(cut({{memory.data() + 10, 5}, {memory.data(), 10}}, 50), (Parts{{15, 2}})) << "the order is another";
}

TEST(MpiBlocksOnRanks, PartsAreCutByBytesWhateverThePieces) {
  if (!ranks_are_processes()) GTEST_SKIP() << "ranks are threads";
  std::array<std::byte, 100> memory{};
  const auto at = [&](std::size_t place) { return memory.data() + place; };
  EXPECT_EQ(cut({{at(0), 100}}, 40), (Parts{{40, 1}, {40, 1}, {20, 1}}));
  EXPECT_EQ(cut({{at(60), 30}, {at(0), 25}, {at(40), 20}}, 25), (Parts{{25, 1}, {25, 2}, {25, 2}}));
  EXPECT_EQ(cut({{at(50), 50}, {at(0), 50}}, 50), (Parts{{50, 1}, {50, 1}}));
}

TEST(MpiBlocksOnRanks, SeveralBlocksAreATypeOfTheirBytes) {
  if (!ranks_are_processes()) GTEST_SKIP() << "ranks are threads";
  std::array<std::byte, 100> memory{};
  MpiBlocks blocks;
  blocks.cut(std::vector<Piece>{{memory.data() + 60, 30}, {memory.data(), 25}}, 1000, [](const MpiBlocks& part) {
    const MpiMemory both = part.memory();
    int bytes = 0;
    MPI_Type_size(both.type(), &bytes);
    EXPECT_EQ(both.count() * bytes, 55);
    EXPECT_EQ(both.address(), MPI_BOTTOM);
  });
  blocks.cut(std::vector<Piece>{{memory.data() + 60, 30}}, 1000, [&](const MpiBlocks& part) {
    const MpiMemory one = part.memory();
    EXPECT_EQ(one.type(), MPI_BYTE);
    EXPECT_EQ(one.address(), memory.data() + 60);
    EXPECT_EQ(one.count(), 30);
  });
}

}  // namespace
}  // namespace coe
