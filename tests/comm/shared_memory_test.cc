#include "comm/shared_memory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "kernels/memory/error.h"

namespace coe {
namespace {

TEST(SharedMemory, WhatOneWritesTheOtherReads) {
  const SharedMemory made = SharedMemory::create(10000);
  const SharedMemory mapped = SharedMemory::map(Descriptor(dup(made.file().get())), 10000);
  EXPECT_EQ(mapped.data()[9999], std::byte{0});
  made.data()[9999] = std::byte{5};
  EXPECT_EQ(mapped.data()[9999], std::byte{5});
  EXPECT_NE(made.data(), mapped.data());
}

TEST(SharedMemory, OutlivesItsFileAndItsMaker) {
  std::optional<SharedMemory> made(SharedMemory::create(4096));
  SharedMemory mapped = SharedMemory::map(Descriptor(dup(made->file().get())), 4096);
  mapped.close_file();
  made->data()[1] = std::byte{3};
  made.reset();
  EXPECT_EQ(mapped.data()[1], std::byte{3});
}

TEST(SharedMemory, LiesInNoFileSystemAndCannotBeMadeSmaller) {
  const SharedMemory made = SharedMemory::create(8192);
  struct stat status {};
  ASSERT_EQ(fstat(made.file().get(), &status), 0);
  EXPECT_EQ(status.st_nlink, 0U);
  EXPECT_EQ(status.st_blocks * 512, 8192) << "its memory is there from the start";
  EXPECT_NE(ftruncate(made.file().get(), 0), 0) << "who maps it would die by SIGBUS";
}

TEST(SharedMemory, OwnMemoryIsZeroed) {
  const SharedMemory own = SharedMemory::own(5000);
  EXPECT_FALSE(own.file().is_open());
  for (std::size_t i = 0; i < 5000; ++i) ASSERT_EQ(own.data()[i], std::byte{0});
}

void expect_refused(std::size_t bytes, int copies, const std::string& words) {
  try {
    SharedMemory::create(bytes, copies);
    FAIL() << "there was room";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_THAT(error.what(), testing::HasSubstr(words));
  }
}

TEST(SharedMemory, MoreThanThereIsIsOneErrorBeforeAnythingIsTouched) {
  expect_refused(std::size_t{1} << 50, 1, "no room for 1125899906842624 bytes in each of 1 ranks of this machine");
  expect_refused(std::size_t{1} << 40, 1 << 20, "in each of 1048576 ranks of this machine");
}

TEST(SharedMemory, WhatIsNoMemoryIsNotMapped) {
  EXPECT_THROW(SharedMemory::map(Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)), 4096), Error);
  EXPECT_THROW(SharedMemory::map(Descriptor(), 4096), Error);
}

}  // namespace
}  // namespace coe
