#include "comm/free_memory.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/launcher/scratch.h"

namespace coe {
namespace {

constexpr std::uint64_t kMega = 1 << 20;

/// A machine with 8 MB available and 2 MB of swap.
class Machine : public testing::Test {
 protected:
  Machine() {
    write("proc/meminfo", "MemTotal: 99999 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\nSwapFree: 2048 kB\n");
  }
  void write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories((scratch_ / "root" / path).parent_path());
    scratch_.write("root" / path, text);
  }
  std::uint64_t free() const { return free_memory(scratch_ / "root"); }

  Scratch scratch_;
};

TEST_F(Machine, WithoutLimitsIsWhatIsAvailableAndSwap) { EXPECT_EQ(free(), 10 * kMega); }

TEST_F(Machine, AGroupOfTheSecondVersionLimitsIt) {
  write("proc/self/cgroup", "0::/box/job\n");
  write("sys/fs/cgroup/box/memory.max", "5242880\n");
  write("sys/fs/cgroup/box/memory.current", "4194304\n");
  write("sys/fs/cgroup/box/memory.stat", "anon 1\ninactive_file 1048576\nfile 7\n");
  write("sys/fs/cgroup/box/job/memory.max", "max\n");
  write("sys/fs/cgroup/box/job/memory.current", "1000\n");
  EXPECT_EQ(free(), 2 * kMega) << "5 MB allowed, 4 used, of which 1 are files that can go";
}

TEST_F(Machine, AGroupOfTheFirstVersionLimitsItFromTheMountsTop) {
  write("proc/self/cgroup", "8:pids:/docker/abc\n4:memory:/docker/abc\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "3145728\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1048576\n");
  EXPECT_EQ(free(), 2 * kMega);
}

TEST_F(Machine, AGroupThatIsFullHasNothingLeft) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "1000\n");
  write("sys/fs/cgroup/memory.current", "2000\n");
  EXPECT_EQ(free(), 0U);
}

TEST(FreeMemory, OfThisMachineIsSomethingAndNotEverything) {
  EXPECT_GT(free_memory(), 0U);
  EXPECT_LT(free_memory(), std::uint64_t{1} << 50);
}

TEST(FreeMemory, WhereTheSystemTellsNothingThereIsNoLimit) {
  const Scratch scratch;
  EXPECT_EQ(free_memory(scratch.path()), std::numeric_limits<std::uint64_t>::max());
}

}  // namespace
}  // namespace coe
