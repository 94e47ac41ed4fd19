#include "runtime/data/permutation.h"

#include <bit>

#include "kernels/memory/error.h"

namespace coe {

namespace {

constexpr std::uint64_t kRounds = 6;

/// A permutation of [0, 4^half_bits).
std::uint64_t feistel(RandomKey key, std::uint64_t value, int half_bits) {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
  std::uint64_t left = value >> half_bits;
  std::uint64_t right = value & mask;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    // Halves have at most 32 bits, so rounds never share a counter.
    const std::uint64_t mixed = left ^ (random_bits(key, round << 32 | right) & mask);
    left = right;
    right = mixed;
  }
  return left << half_bits | right;
}

}  // namespace

std::uint64_t permute(RandomKey key, std::uint64_t index, std::uint64_t size) {
  check(index < size, "permutation: index is ", index, ", must be below ", size);
  const int half_bits = (static_cast<int>(std::bit_width(size - 1)) + 1) / 2;
  do index = feistel(key, index, half_bits);
  while (index >= size);
  return index;
}

}  // namespace coe
