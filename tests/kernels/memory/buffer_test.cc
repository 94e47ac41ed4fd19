#include "kernels/memory/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(Buffer, IsAlignedTo64Bytes) {
  for (const std::size_t bytes : {1U, 63U, 64U, 65U, 100000U}) {
    const Buffer buffer(bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    buffer.data()[bytes - 1] = std::byte{1};
  }
}

TEST(Buffer, OfNothingHasNoMemory) {
  EXPECT_EQ(Buffer().data(), nullptr);
  EXPECT_EQ(Buffer(0).data(), nullptr);
}

TEST(Buffer, MovesItsMemory) {
  Buffer first(10);
  std::byte* const memory = first.data();
  Buffer second(std::move(first));
  EXPECT_EQ(second.data(), memory);
  Buffer third(20);
  third = std::move(second);
  EXPECT_EQ(third.data(), memory);
  EXPECT_EQ(third.bytes(), 10U);
}

TEST(Buffer, RefusesASizeThatWouldWrapAround) {
  EXPECT_EQ(thrown_code([] { Buffer(std::numeric_limits<std::size_t>::max() - 1); }), ErrorCode::kSystem);
}

}  // namespace
}  // namespace coe
