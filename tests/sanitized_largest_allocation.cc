#include <algorithm>
#include <cstddef>

#include "tests/largest_allocation.h"

namespace {
thread_local std::size_t largest = 0;
}

/// Sanitizers bring a malloc of their own, which tells of every call.
extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t bytes) { largest = std::max(largest, bytes); }

namespace coe {

LargestAllocation::LargestAllocation() { largest = 0; }

std::size_t LargestAllocation::bytes() const { return largest; }

}  // namespace coe
