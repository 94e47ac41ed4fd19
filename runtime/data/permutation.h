#pragma once

#include <cstdint>

#include "kernels/memory/random.h"

namespace coe {

/// Where `key`'s permutation of [0, size) takes `index`: no state, a few random numbers a call. A Feistel network over
/// the next power of four, walked along until it is back inside [0, size) (Black and Rogaway 2002, "Ciphers with
/// Arbitrary Finite Domains").
std::uint64_t permute(RandomKey key, std::uint64_t index, std::uint64_t size);

}  // namespace coe
