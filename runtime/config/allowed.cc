#include "runtime/config/allowed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace coe {
namespace {

/// A double counts as a decimal of six places where it is as near to one as rounding leaves it.
bool has_six_decimals(double value) {
  constexpr double kMillion = 1e6, kRounding = 1e-12;
  const double millionths = value * kMillion;
  return std::abs(millionths - std::round(millionths)) <= kRounding * std::max(1.0, std::abs(millionths));
}

/// "a whole number from LOW to HIGH", the highest as these words.
std::string whole_words(const Whole& allowed, const std::string& highest) {
  return fmt::format("a whole number from {} to {}{}", allowed.low, allowed.below_bound ? "below " : "", highest);
}

}  // namespace

bool admits(const Whole& allowed, std::int64_t value, std::int64_t bound) {
  if (value < allowed.low || value > allowed.high) return false;
  return allowed.bound.empty() || value < bound || (value == bound && !allowed.below_bound);
}

bool admits(const Real& allowed, double value) {
  const bool high_enough = allowed.above_low ? value > allowed.low : value >= allowed.low;
  const bool low_enough = allowed.below_high ? value < allowed.high : value <= allowed.high;
  if (!std::isfinite(value) || !high_enough || !low_enough) return false;
  return !allowed.six_decimals || has_six_decimals(value);
}

std::string words_of(const Whole& allowed) {
  return whole_words(allowed, allowed.bound.empty() ? fmt::to_string(allowed.high) : std::string(allowed.bound));
}

std::string words_of(const Whole& allowed, std::int64_t bound) {
  if (allowed.bound.empty()) return words_of(allowed);
  return whole_words(allowed, fmt::format("{} ({})", bound, allowed.bound));
}

std::string words_of(const Real& allowed) {
  const bool bounded = std::isfinite(allowed.high);
  std::string words =
      fmt::format("a {}number {} {}", bounded ? "" : "finite ", allowed.above_low ? "above" : "from", allowed.low);
  if (bounded) words += fmt::format(" to {}{}", allowed.below_high ? "below " : "", allowed.high);
  return words + (allowed.six_decimals ? " with at most six decimal places" : "");
}

}  // namespace coe
