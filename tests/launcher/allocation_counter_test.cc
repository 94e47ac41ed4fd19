#include "launcher/allocation_counter.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace coe {
namespace {

TEST(AllocationCounter, CountsEveryWayToAllocate) {
  if (allocations() < 0) GTEST_SKIP() << "a build with sanitizers cannot count allocations";
  void* volatile memory = nullptr;  // volatile, or the compiler leaves the pairs out
  const std::int64_t before = allocations();
  memory = std::malloc(10);
  memory = std::realloc(memory, 1000);
  std::free(memory);
  memory = std::calloc(3, 5);
  std::free(memory);
  memory = std::aligned_alloc(64, 128);
  std::free(memory);
  memory = ::operator new(7);
  ::operator delete(memory);
  EXPECT_EQ(allocations() - before, 5);
}

}  // namespace
}  // namespace coe
