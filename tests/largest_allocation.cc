#include "tests/largest_allocation.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {
thread_local std::size_t largest = 0;
}

void* operator new(std::size_t bytes) {
  largest = std::max(largest, bytes);
  if (void* memory = std::malloc(std::max<std::size_t>(bytes, 1))) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace coe {

LargestAllocation::LargestAllocation() { largest = 0; }

std::size_t LargestAllocation::bytes() const { return largest; }

}  // namespace coe
