#pragma once

#include <cstdint>

namespace coe {

/// Heap allocations of this process since it started, by anyone (malloc,
/// calloc, realloc, aligned_alloc and all that is built on them); -1 in builds
/// that cannot count, those with sanitizers.
std::int64_t allocations();

}  // namespace coe
