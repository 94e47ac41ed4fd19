#include "comm/shared_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>

#include "kernels/memory/error.h"

namespace coe {
namespace {

std::string own_name(const char* what) { return "/coe-test-" + std::to_string(getpid()) + "-" + what; }

TEST(SharedMemory, WhatOneWritesTheOtherReads) {
  const std::string name = own_name("pair");
  const SharedMemory made = SharedMemory::create(name, 10000), opened = SharedMemory::open(name, 10000);
  SharedMemory::forget(name);
  EXPECT_EQ(opened.data()[9999], std::byte{0});
  made.data()[9999] = std::byte{5};
  EXPECT_EQ(opened.data()[9999], std::byte{5});
  EXPECT_THROW(SharedMemory::open(name, 10000), Error);
}

TEST(SharedMemory, ANameThatIsTakenIsRefused) {
  const std::string name = own_name("taken");
  const SharedMemory made = SharedMemory::create(name, 100);
  EXPECT_THROW(SharedMemory::create(name, 100), Error);
  SharedMemory::forget(name);
}

TEST(SharedMemory, MoreThanThereIsIsOneErrorAndLeavesNothing) {
  const std::string name = own_name("huge");
  try {
    SharedMemory::create(name, std::size_t{1} << 50);
    FAIL() << "there was room";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
  }
  EXPECT_THROW(SharedMemory::open(name, 1), Error);
}

}  // namespace
}  // namespace coe
