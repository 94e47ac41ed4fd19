#include "kernels/memory/arena.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace coe {
namespace {

TEST(Arena, MakesAlignedTensorsThatDoNotOverlap) {
  Arena arena(4096);
  const Tensor first = arena.make<float>({3}), second = arena.make<std::uint8_t>({70}), third = arena.make<double>({1});
  for (const Tensor& x : {first, second, third}) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.raw()) % 64, 0U);
  EXPECT_EQ(second.raw(), first.raw() + 64);
  EXPECT_EQ(third.raw(), second.raw() + 128);
  EXPECT_EQ(arena.growths(), 0);
}

TEST(Arena, ZerosAreZeroEvenInUsedMemory) {
  Arena arena(4096);
  std::ranges::fill(arena.make<float>({100}).span<float>(), 7.0F);
  arena.reset();
  const auto zeros = arena.zeros<float>({100}).span<float>();
  EXPECT_TRUE(std::ranges::all_of(zeros, [](float x) { return x == 0.0F; }));
}

TEST(Arena, AScopeGivesBackWhatWasMadeInIt) {
  Arena arena(4096);
  arena.make<float>({16});
  std::byte* inside = nullptr;
  {
    const ArenaScope scope(arena);
    inside = arena.make<float>({16}).raw();
  }
  EXPECT_EQ(arena.make<float>({16}).raw(), inside);
}

TEST(Arena, GrowsWhenFullAndKeepsWhatIsThere) {
  Arena arena(128);
  const Tensor small = arena.make<float>({4});
  small.data<float>()[3] = 5.0F;
  const Tensor large = arena.make<float>({1 << 20});
  large.data<float>()[(1 << 20) - 1] = 1.0F;
  EXPECT_EQ(arena.growths(), 1);
  EXPECT_EQ(small.data<float>()[3], 5.0F);
}

TEST(Arena, ASteadyStepStopsGrowing) {
  Arena arena;
  const auto step = [&] {
    for (int i = 0; i < 5; ++i) arena.make<float>({300000});
    arena.reset();
  };
  step();
  const int growths = arena.growths();
  const std::size_t capacity = arena.capacity();
  EXPECT_GT(growths, 0);
  for (int i = 0; i < 3; ++i) step();
  EXPECT_EQ(arena.growths(), growths);
  EXPECT_EQ(arena.capacity(), capacity);
}

TEST(Arena, AnEmptyTensorTakesNothing) {
  Arena arena(4096);
  const Tensor none = arena.make<float>({0, 5});
  EXPECT_EQ(none.elements(), 0);
  EXPECT_EQ(arena.make<float>({1}).raw(), none.raw());
}

}  // namespace
}  // namespace coe
