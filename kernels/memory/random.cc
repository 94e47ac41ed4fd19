#include "kernels/memory/random.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr std::uint32_t low_word(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high_word(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

/// Box-Muller's cosine half, from the two words of random_bits().
double random_normal(RandomKey key, std::uint64_t counter) {
  const std::uint64_t bits = random_bits(key, counter);
  const double radius = (low_word(bits) + 1.0) * 0x1p-32;  // in (0, 1]
  const double turn = high_word(bits) * 0x1p-32;
  return std::sqrt(-2.0 * std::log(radius)) * std::cos(2.0 * std::numbers::pi * turn);
}

}  // namespace

std::uint64_t random_bits(RandomKey key, std::uint64_t counter) {
  const r123::Philox4x32::ctr_type place = {
      {low_word(counter), high_word(counter), low_word(key.stream), high_word(key.stream)}};
  const r123::Philox4x32::key_type seed = {{low_word(key.seed), high_word(key.seed)}};
  const r123::Philox4x32::ctr_type words = r123::Philox4x32()(place, seed);
  return words[0] | static_cast<std::uint64_t>(words[1]) << 32;
}

float random_uniform(RandomKey key, std::uint64_t counter) {
  return static_cast<float>(random_bits(key, counter) >> 40) * 0x1p-24F;
}

std::uint64_t random_below(RandomKey key, std::uint64_t counter, std::uint64_t bound) {
  if (bound == 0) fail(ErrorCode::kInternal, "random_below: bound is 0, must be at least 1");
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<Wide>(random_bits(key, counter)) * bound >> 64);
}

void fill_uniform(const Tensor& x, RandomKey key, float low, float high, std::uint64_t first) {
  if (!(low < high)) fail(ErrorCode::kInternal, "fill_uniform: low is ", low, ", must be below high, ", high);
  const float last = std::nextafter(high, low);  // the product can round up to high
  std::uint64_t counter = first;
  for (float& value : x.span<float>()) value = std::fmin(last, low + random_uniform(key, counter++) * (high - low));
}

void fill_normal(const Tensor& x, RandomKey key, float mean, float deviation, std::uint64_t first) {
  std::uint64_t counter = first;
  for (float& value : x.span<float>()) value = static_cast<float>(mean + deviation * random_normal(key, counter++));
}

}  // namespace coe
