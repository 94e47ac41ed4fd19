#include "kernels/decoder/rope.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(RopeTable, HoldsAnglesOfThePaper) {
  const Floats cosine({5, 2}), sine({5, 2});
  rope_table(100.0F, cosine, sine);  // d = 4: frequencies 1 and 100^(-1/2)
  for (std::int64_t position = 0; position < 5; ++position) {
    const auto angle = static_cast<double>(position);
    EXPECT_NEAR(cosine[2 * position], std::cos(angle), 1e-7);
    EXPECT_NEAR(sine[2 * position], std::sin(angle), 1e-7);
    EXPECT_NEAR(cosine[2 * position + 1], std::cos(angle / 10), 1e-7);
    EXPECT_NEAR(sine[2 * position + 1], std::sin(angle / 10), 1e-7);
  }
}

TEST(Rope, RotatesTheHalvesOfEveryHead) {
  constexpr std::int64_t kLength = 6, kHalf = 3, kWidth = 2 * 2 * kHalf;
  const Floats cosine({kLength + 2, kHalf}), sine({kLength + 2, kHalf}), x = normal_tensor({kLength, kWidth}, 1);
  rope_table(10000.0F, cosine, sine);
  std::vector<double> wanted;
  for (std::int64_t i = 0; i < kLength * kWidth; ++i) {
    const std::int64_t in_head = i % (2 * kHalf), partner = in_head < kHalf ? i + kHalf : i - kHalf;
    const double angle =
        static_cast<double>(i / kWidth) * std::pow(10000.0, -static_cast<double>(in_head % kHalf) / kHalf);
    const double sign = in_head < kHalf ? -1 : 1;
    wanted.push_back(x[i] * std::cos(angle) + sign * x[partner] * std::sin(angle));
  }
  rope(x, 2, cosine, sine, false);
  EXPECT_LT(worst_error(x, wanted), 1e-6);
}

TEST(Rope, InverseIsTheTransposeAndUndoes) {
  const Floats cosine({7, 4}), sine({7, 4}), x = normal_tensor({7, 8}, 1);
  rope_table(10000.0F, cosine, sine);
  const auto before = x.values();
  rope(x, 1, cosine, sine, false);
  rope(x, 1, cosine, sine, true);
  EXPECT_LT(worst_error(x, std::vector<double>(before.begin(), before.end())), 1e-6);
}

TEST(Rope, OfPositionsHasTheBitsOfRowsThatStandThere) {
  const Floats cosine({7, 3}), sine({7, 3}), x = normal_tensor({7, 12}, 1), moved({5, 12});
  rope_table(10000.0F, cosine, sine);
  const Ints positions({5}, {3, 0, 6, 3, 1});
  for (std::int64_t row = 0; row < 5; ++row) std::copy_n(x.begin() + positions[row] * 12, 12, moved.begin() + row * 12);
  for (const bool inverse : {false, true, true}) {
    rope(x, 2, cosine, sine, inverse);
    rope(moved, 2, cosine, sine, positions, inverse, host_stream());
    for (std::int64_t row = 0; row < 5; ++row) {
      EXPECT_TRUE(same_bits(moved.tensor()[row], x.tensor()[positions[row]]));
    }
  }
}

TEST(Rope, RefusesPositionsBeyondTheTables) {
  const Floats x({2, 4}), table({3, 2});
  for (const std::int32_t position : {-1, 3}) {
    const Ints positions({2}, {0, position});
    EXPECT_EQ(thrown_code([&] { rope(x, 1, table, table, positions, false, host_stream()); }), ErrorCode::kBadInput);
  }
  EXPECT_EQ(thrown_code([&] { rope(x, 1, table, table, Ints({3}), false, host_stream()); }), ErrorCode::kInternal);
}

TEST(Rope, RefusesTablesThatAreTooShortOrOfAnotherWidth) {
  const Floats x({4, 8}), table({3, 2}), narrow({4, 1});
  EXPECT_EQ(thrown_code([&] { rope(x, 2, table, table, false); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { rope(x, 2, narrow, narrow, false); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { rope(x, 0, narrow, narrow, false); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
