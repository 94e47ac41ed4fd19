#pragma once

#include <cstdint>
#include <string>

namespace coe {

/// Bytes of memory without a file behind it that this process holds: its own, and its part of what it shares, each
/// shared page divided by the processes that map it, so that the sum over processes counts it once (Linux,
/// /proc/self/smaps_rollup). Throws kSystem where the system does not tell.
std::int64_t resident_memory();

/// The same from the text of such a file.
std::int64_t resident_memory_in(const std::string& rollup);

}  // namespace coe
