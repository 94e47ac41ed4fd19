#include "runtime/ranks/deal.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

TEST(Deal, EveryElementIsInOnePieceOfOneRank) {
  for (const int ranks : {2, 3, 7, 512}) {
    for (const std::int64_t elements : {1, 15, 4096, 1'000'003, 76'000'001}) {
      const Deal deal(elements, ranks, 0);
      EXPECT_GE(deal.elements(), elements);
      EXPECT_LT(deal.elements(), elements + ranks * 16);
      std::int64_t next = 0;
      for (std::int64_t i = 0; i < deal.stretches(); ++i) {
        EXPECT_EQ(deal.stretch(i).first, next);
        EXPECT_LE(deal.stretch(i).count, deal.longest());
        for (int rank = 0; rank < ranks; ++rank) {
          const Share piece = deal.piece(i, rank);
          ASSERT_EQ(piece.first, next);
          ASSERT_EQ(piece.count, deal.stretch(i).count / ranks) << "equal";
          ASSERT_EQ(piece.first % 16, 0) << "64 bytes";
          next += piece.count;
        }
      }
      EXPECT_EQ(next, deal.elements());
    }
  }
}

TEST(Deal, ARanksPiecesLieBehindOneAnother) {
  const Deal deal(1'000'000, 4, 2);
  std::int64_t next = 0;
  for (std::int64_t i = 0; i < deal.stretches(); ++i) {
    EXPECT_EQ(deal.kept(i).first, next);
    EXPECT_EQ(deal.kept(i).count, deal.piece(i, 2).count);
    EXPECT_EQ(deal.piece(i).first, deal.piece(i, 2).first);
    next += deal.kept(i).count;
  }
  EXPECT_EQ(next, deal.own());
}

TEST(Deal, StretchesAreSixteenUnlessPiecesWouldBeShortOrStretchesLong) {
  EXPECT_EQ(Deal(32 << 20, 2, 0).stretches(), 16);
  EXPECT_EQ(Deal(128 << 20, 2, 0).longest(), 4 << 20);
  EXPECT_EQ(Deal(100'000, 2, 0).longest(), 2 * (16 << 10)) << "pieces of 64 KiB";
  EXPECT_EQ(Deal(76 << 20, 512, 0).longest(), 512 * (16 << 10));
  EXPECT_EQ(Deal(100, 2, 0).stretches(), 1);
}

TEST(Deal, OneRankHasOnePieceAndNothingIsFilledUp) {
  const Deal deal(1'000'003, 1, 0);
  EXPECT_EQ(deal.elements(), 1'000'003);
  EXPECT_EQ(deal.stretches(), 1);
  EXPECT_EQ(deal.piece(0).count, 1'000'003);
  EXPECT_EQ(deal.own(), 1'000'003);
}

TEST(Deal, NothingIsInNoStretch) {
  for (const int ranks : {1, 4}) {
    EXPECT_EQ(Deal(0, ranks, 0).stretches(), 0);
    EXPECT_EQ(Deal(0, ranks, 0).elements(), 0);
  }
}

}  // namespace
}  // namespace coe
