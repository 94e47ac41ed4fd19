#include "kernels/memory/pinned_buffer.h"

#include <cstring>
#include <numeric>

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

using PinnedBufferCuda = OnCuda;

TEST_F(PinnedBufferCuda, CopiesGoThereAndBack) {
  constexpr std::int64_t kNumbers = 1000;
  PinnedBuffer sent(kNumbers * sizeof(float), kCuda);
  const PinnedBuffer received(kNumbers * sizeof(float), kCuda);
  ASSERT_EQ(sent.bytes(), kNumbers * sizeof(float));
  const Tensor from(sent.data(), DType::kF32, {kNumbers}), to(received.data(), DType::kF32, {kNumbers});
  std::iota(from.data<float>(), from.data<float>() + kNumbers, 1.0F);
  const Tensor there = room(DType::kF32, {kNumbers});
  copy(from, there, stream_);
  copy(there, to, stream_);
  wait();
  EXPECT_EQ(std::memcmp(from.raw(), to.raw(), from.bytes()), 0);
  const std::byte* memory = sent.data();
  PinnedBuffer moved(std::move(sent));
  EXPECT_EQ(moved.data(), memory);
  EXPECT_EQ(sent.data(), nullptr);  // NOLINT(bugprone-use-after-move)
}

TEST(PinnedBuffer, OfNothingHasNoMemory) { EXPECT_EQ(PinnedBuffer().data(), nullptr); }

}  // namespace
}  // namespace coe
