#pragma once

#include <cstdint>
#include <filesystem>

namespace coe {

/// Bytes that this process can still get before the system ends somebody: what the machine has available, swap
/// included, and what is left to its control groups where they limit it. `root` is where proc/ and sys/ lie.
std::uint64_t free_memory(const std::filesystem::path& root = "/");

}  // namespace coe
