#pragma once

#include <cstdint>

#include "kernels/memory/tensor.h"

namespace coe {

/// Names one random sequence; numbers are a function of (key, counter) alone, so that they do not depend on who asks,
/// or when (Philox4x32-10, Salmon et al. 2011).
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

std::uint64_t random_bits(RandomKey key, std::uint64_t counter);
/// In [0, 1), 24 bits.
float random_uniform(RandomKey key, std::uint64_t counter);
/// In [0, bound), without bias that matters (64-bit multiply-shift); bound >= 1.
std::uint64_t random_below(RandomKey key, std::uint64_t counter, std::uint64_t bound);

/// Element i is uniform in [low, high), drawn at counter `first` + i.
void fill_uniform(const Tensor& x, RandomKey key, float low, float high, std::uint64_t first = 0);
/// Element i is normal (Box-Muller on counter `first` + i).
void fill_normal(const Tensor& x, RandomKey key, float mean, float deviation, std::uint64_t first = 0);

}  // namespace coe
