#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace coe {

/// Heap allocations by who asked for them.
struct AllocationCounts {
  std::int64_t ours = 0;   ///< by this program's own code, of any size
  std::int64_t large = 0;  ///< by a library, of kLargeAllocation bytes or more
  std::int64_t small = 0;  ///< by a library, smaller ones
};

inline constexpr std::size_t kLargeAllocation = 4096;

/// The heap allocations of this process since it started: malloc, calloc, realloc, aligned_alloc, operator new and all
/// that is built on them; nothing in builds that cannot count, those with sanitizers.
///
/// Who asked is told by the address that the call returns to: in this executable it was our code, which includes what
/// it inlines of a library's headers. The C and C++ libraries ask on somebody's behalf (std::string, getline), so that
/// theirs count as ours. Where a shared library allocates because our code called it (libfmt), or where it ends in a
/// jump to malloc, the other side is told; memory from mmap is not seen.
std::optional<AllocationCounts> allocation_counts();

}  // namespace coe
