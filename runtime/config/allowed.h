#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace coe {

/// Whole numbers that a key may have, and as words: "a whole number from 1 to layer.experts".
struct Whole {
  std::int64_t low = 0, high = std::numeric_limits<std::int64_t>::max();
  std::string_view bound = {};  ///< the key whose value is the highest; empty: `high` is
  bool below_bound = false;     ///< that value itself is not allowed
};

/// Finite numbers that a key may have: "a number from 0 to below 1", "a finite number above 0".
struct Real {
  double low = 0, high = std::numeric_limits<double>::infinity();
  bool above_low = false, below_high = false;
  bool six_decimals = false;  ///< the number is a decimal of at most six places
};

/// A text or a list that says something.
struct NotEmpty {};

/// Whatever the type of a key can hold: true or false, one of its words, any text.
struct OfItsType {};

/// Whether `value` is allowed; `bound` is the value of the key that allowed.bound names.
bool admits(const Whole& allowed, std::int64_t value, std::int64_t bound);
bool admits(const Real& allowed, double value);
inline bool admits(NotEmpty, const std::filesystem::path& value) { return !value.empty(); }
inline bool admits(NotEmpty, const std::vector<std::string>& value) { return !value.empty(); }

/// The words that follow "must be". With the value of its bound a Whole says both: "from 1 to 64 (layer.experts)".
std::string words_of(const Whole& allowed);
std::string words_of(const Whole& allowed, std::int64_t bound);
std::string words_of(const Real& allowed);

}  // namespace coe
