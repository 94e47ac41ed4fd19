#include "runtime/files/checksum.h"

#include <gtest/gtest.h>

#include <string_view>

namespace coe {
namespace {

std::uint64_t checksum_of_text(std::string_view text) { return checksum_of(std::as_bytes(std::span(text))); }

TEST(Checksum, IsXxh3) {
  // The values of xxhsum -H3, which is another program.
  EXPECT_EQ(checksum_of_text(""), 0x2d06800538d394c2U);
  EXPECT_EQ(checksum_of_text("abc"), 0x78af5f94892f3950U);
}

}  // namespace
}  // namespace coe
