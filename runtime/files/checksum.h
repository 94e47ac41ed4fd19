#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace coe {

/// XXH3 of 64 bits, without a seed.
std::uint64_t checksum_of(std::span<const std::byte> bytes);

}  // namespace coe
