#include "launcher/bench/random_on_device.h"

#include <gtest/gtest.h>

#include "comm/make_transport.h"
#include "kernels/memory/bf16.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

// The stream may be the CPU's too.
TEST(RandomOnDevice, DrawsTheNumbersOfTheKeyAndRoundsThem) {
  const auto world = make_transport("local");
  const Floats drawn({3, 5}), wide({3, 5});
  const Owned<Bf16> narrow({3, 5});
  fill_normal(drawn, {4, 2}, 0, 0.5F);
  fill_normal_there(wide, {4, 2}, 0.5F, {world.get()}, {});
  fill_normal_there(narrow, {4, 2}, 0.5F, {world.get()}, {});
  EXPECT_EQ(wide.values(), drawn.values());
  for (std::int64_t i = 0; i < 15; ++i) EXPECT_EQ(narrow[i], to_bf16(drawn[i]));
}

TEST(RandomOnDevice, RepeatsWhatTakesLongToDraw) {
  const auto world = make_transport("local");
  const Floats x({kMostDrawn + 3});
  fill_normal_there(x, {4, 2}, 0.5F, {world.get()}, {});
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(x[kMostDrawn + i], x[i]);
  EXPECT_NE(x[kMostDrawn - 1], x[0]);
}

using RandomOnDeviceCuda = OnCuda;

TEST_F(RandomOnDeviceCuda, DrawsTheSameThere) {
  const auto world = make_transport("local");
  const Floats drawn({3, 5});
  fill_normal(drawn, {4, 2}, 0, 0.5F);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor there = room(dtype, {3, 5});
    fill_normal_there(there, {4, 2}, 0.5F, {world.get()}, stream_);
    EXPECT_EQ(get<float>(there).values(), rounded(drawn, dtype).values());
  }
}

}  // namespace
}  // namespace coe
