#include "launcher/bench/allocation_counter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

namespace coe {
namespace {

AllocationCounts counts() { return allocation_counts().value_or(AllocationCounts{}); }

TEST(AllocationCounter, CountsEveryWayToAllocate) {
  if (!allocation_counts()) GTEST_SKIP() << "a build with sanitizers cannot count allocations";
  void* volatile memory = nullptr;  // volatile, or the compiler leaves the pairs out
  const AllocationCounts before = counts();
  memory = std::malloc(10);
  memory = std::realloc(memory, 10000);
  std::free(memory);
  memory = std::calloc(3, 5);
  std::free(memory);
  memory = std::aligned_alloc(64, 128);
  std::free(memory);
  memory = ::operator new(7);
  ::operator delete(memory);
  memory = ::operator new[](7, std::nothrow);
  ::operator delete[](memory);
  memory = ::operator new (64, std::align_val_t{64});
  ::operator delete (memory, std::align_val_t{64});
  const AllocationCounts after = counts();
  EXPECT_EQ(after.ours - before.ours, 7);
  EXPECT_EQ(after.large - before.large, 0);
  EXPECT_EQ(after.small - before.small, 0);
}

TEST(AllocationCounter, WhatTheCAndCppLibrariesAskForIsOurs) {
  if (!allocation_counts()) GTEST_SKIP() << "a build with sanitizers cannot count allocations";
  const AllocationCounts before = counts();
  char* volatile copy = strdup("one");
  std::free(copy);
  volatile std::size_t length = 100;
  const std::string text(length, 'x');
  const AllocationCounts after = counts();
  EXPECT_EQ(after.ours - before.ours, 2);
}

}  // namespace
}  // namespace coe
