#include "kernels/memory/copy.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(Copy, CopiesClearsAndFills) {
  const Floats from({3}, {1, 2, 3}), to({3});
  copy(from, to, {});
  EXPECT_EQ(to.values(), from.values());
  fill(to, 4, {});
  EXPECT_EQ(to.values(), (std::vector<float>{4, 4, 4}));
  clear(to, {});
  EXPECT_EQ(to.values(), (std::vector<float>{0, 0, 0}));
}

TEST(Copy, WritesAFewNumbers) {
  const Owned<std::int64_t> to({3});
  const std::vector<std::int64_t> values{1, -2, std::int64_t{1} << 40}, many(kWrittenAtOnce + 1);
  write(values, to, {});
  EXPECT_EQ(to.values(), values);
  EXPECT_EQ(thrown_code([&] { write(many, to, {}); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { write(many, Owned<std::int64_t>({std::ssize(many)}), {}); }), ErrorCode::kInternal);
}

TEST(Copy, CastsToTheNearestEven) {
  // bf16 has 8 significant bits: 256 + 1 is a tie that goes down, 256 + 3 one that goes up.
  const Floats from({5}, {1, 257, 259, -0.5F, std::numeric_limits<float>::infinity()}), back({5});
  const Owned<Bf16> narrow({5});
  cast(from, narrow, {});
  cast(narrow, back, {});
  EXPECT_EQ(back.values(), (std::vector<float>{1, 256, 260, -0.5F, std::numeric_limits<float>::infinity()}));
}

TEST(Copy, RefusesOtherSizesAndTypes) {
  const Floats three({3}), two({2});
  EXPECT_EQ(thrown_code([&] { copy(three, two, {}); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { copy(three, Ints({3}), {}); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { cast(three, Ints({3}), {}); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
