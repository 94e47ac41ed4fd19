#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/memory/random.h"

namespace coe {

/// The values of the letters a to z in one word problem.
class MathsNumbers {
 public:
  /// Draws what `recipe` says ("n 2..9, p 10|20, m n*p + 5", see MathsTemplate::numbers), the letter number i at
  /// counter i of `key`. None where a value is not a whole number of at least 2.
  static std::optional<MathsNumbers> draw(std::string_view recipe, RandomKey key);

  /// The value of "a + 2*b / c": products before sums, from left to right, no brackets. None where a quotient is not
  /// whole.
  std::optional<std::int64_t> evaluate(std::string_view expression) const;
  /// "n * p = t" written out, "3 * 4 = 12", after which `t` is 12. None where the value is not a whole number of at
  /// least 2.
  std::optional<std::string> write_out(std::string_view equation);

  std::int64_t at(char letter) const { return values_[static_cast<std::size_t>(letter - 'a')]; }
  /// The letter of the last value set.
  char last() const { return last_; }
  /// "n=3 p=4": what was drawn, in the recipe's order.
  const std::string& text() const { return text_; }

 private:
  bool set(char letter, std::optional<std::int64_t> value);

  std::array<std::int64_t, 26> values_{};
  char last_ = 'a';
  std::string text_;
};

}  // namespace coe
