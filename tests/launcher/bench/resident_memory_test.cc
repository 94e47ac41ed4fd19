#include "launcher/bench/resident_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(ResidentMemory, AddsWhatIsOfThisProcessToItsPartOfWhatIsShared) {
  EXPECT_EQ(resident_memory_in("Rss:      900 kB\nPss_Anon:     116 kB\nPss_File:  307 kB\nPss_Shmem:      12 kB\n"),
            128 * 1024);
}

TEST(ResidentMemory, SaysWhatTheSystemDoesNotTell) {
  EXPECT_EQ(thrown_code([] { resident_memory_in("Rss:  900 kB\nPss_Anon:  116 kB\n"); }), ErrorCode::kSystem);
  EXPECT_EQ(thrown_code([] { resident_memory_in(""); }), ErrorCode::kSystem);
}

TEST(ResidentMemory, GrowsByWhatIsTouched) {
  constexpr std::size_t kBytes = 64 << 20;
  const std::int64_t before = resident_memory();
  const std::vector<char> memory(kBytes, 1);
  EXPECT_NEAR(static_cast<double>(resident_memory() - before), kBytes, 4 << 20);
}

}  // namespace
}  // namespace coe
