#pragma once

#include <bit>
#include <cstdint>

namespace coe {

/// e^x within 2 units in the last place over the whole range, infinities and NaN passing through.
///
/// Branchless plain arithmetic, so that loops over it vectorise and give the same bits at every position. Cephes expf
/// (Moshier): e^x = 2^n e^r with |r| <= ln 2 / 2, e^r by a polynomial.
inline float fast_exp(float x) {
  constexpr float kLowest = -104.0F, kHighest = 89.0F;  // e^x is 0 below, infinite above
  constexpr float kLog2E = 1.44269504F, kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  float clamped = x < kLowest ? kLowest : x;
  clamped = clamped > kHighest ? kHighest : clamped;
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float y = 1.9875691500e-4F;
  y = y * r + 1.3981999507e-3F;
  y = y * r + 8.3334519073e-3F;
  y = y * r + 4.1665795894e-2F;
  y = y * r + 1.6666665459e-1F;
  y = y * r + 5.0000001201e-1F;
  y = (y * (r * r) + r) + 1.0F;
  // 2^n in two factors, each in the range of normal numbers. Unsigned, since n of a NaN is anything.
  const std::uint32_t power = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound);
  const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(power) >> 1);
  const float first = std::bit_cast<float>((half + 127U) << 23);
  const float second = std::bit_cast<float>((power - half + 127U) << 23);
  return y * first * second;
}

inline float sigmoid(float x) { return 1.0F / (1.0F + fast_exp(-x)); }

}  // namespace coe
