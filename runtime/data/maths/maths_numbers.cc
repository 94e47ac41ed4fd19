#include "runtime/data/maths/maths_numbers.h"

#include <algorithm>
#include <charconv>

#include "kernels/memory/error.h"

namespace coe {

namespace {

constexpr std::int64_t kLeast = 2;
constexpr bool is_letter(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Cuts off and returns what stands before `separator`, or all of it.
std::string_view cut(std::string_view& rest, std::string_view separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view head = rest.substr(0, end);
  rest.remove_prefix(std::min(rest.size(), end + separator.size()));
  return head;
}

std::int64_t parse(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size())
    fail(ErrorCode::kInternal, "maths problems: \"", digits, "\" is not a number");
  return value;
}

std::int64_t draw_choice(std::string_view choices, RandomKey key, std::uint64_t counter) {
  const auto count = static_cast<std::uint64_t>(std::count(choices.begin(), choices.end(), '|')) + 1;
  for (std::uint64_t skip = random_below(key, counter, count); skip > 0; --skip) cut(choices, "|");
  return parse(cut(choices, "|"));
}

std::int64_t draw_range(std::string_view range, RandomKey key, std::uint64_t counter) {
  const std::int64_t low = parse(cut(range, ".."));
  const std::int64_t high = parse(range);
  return low + static_cast<std::int64_t>(random_below(key, counter, static_cast<std::uint64_t>(high - low + 1)));
}

/// A running value of products within sums.
struct Sum {
  std::int64_t done = 0, product = 0;
  char operation = '+';

  /// False where a quotient is not whole.
  bool take(std::int64_t value) {
    if (operation == '*') {
      product *= value;
    } else if (operation == '/') {
      if (value == 0 || product % value != 0) return false;
      product /= value;
    } else {
      done += product;
      product = operation == '-' ? -value : value;
    }
    return true;
  }
};

}  // namespace

bool MathsNumbers::set(char letter, std::optional<std::int64_t> value) {
  if (!value || *value < kLeast) return false;
  values_[static_cast<std::size_t>(letter - 'a')] = *value;
  last_ = letter;
  return true;
}

std::optional<MathsNumbers> MathsNumbers::draw(std::string_view recipe, RandomKey key) {
  MathsNumbers numbers;
  for (std::uint64_t counter = 0; !recipe.empty(); ++counter) {
    std::string_view rule = cut(recipe, ", ");
    const char letter = cut(rule, " ").at(0);
    std::optional<std::int64_t> value;
    if (rule.find("..") != rule.npos) {
      value = draw_range(rule, key, counter);
    } else if (rule.find('|') != rule.npos) {
      value = draw_choice(rule, key, counter);
    } else {
      value = numbers.evaluate(rule);
    }
    if (!numbers.set(letter, value)) return std::nullopt;
    if (counter > 0) numbers.text_ += ' ';
    numbers.text_.append({letter, '='}).append(std::to_string(*value));
  }
  return numbers;
}

std::optional<std::int64_t> MathsNumbers::evaluate(std::string_view expression) const {
  Sum sum;
  while (!expression.empty()) {
    const char c = expression.front();
    std::size_t length = 1;
    if (is_digit(c)) {
      while (length < expression.size() && is_digit(expression[length])) ++length;
      if (!sum.take(parse(expression.substr(0, length)))) return std::nullopt;
    } else if (is_letter(c)) {
      if (!sum.take(at(c))) return std::nullopt;
    } else if (c != ' ') {
      sum.operation = c;
    }
    expression.remove_prefix(length);
  }
  return sum.done + sum.product;
}

std::optional<std::string> MathsNumbers::write_out(std::string_view equation) {
  const std::string_view expression = cut(equation, " = ");
  if (!set(equation.at(0), evaluate(expression))) return std::nullopt;
  std::string text;
  for (const char c : expression) text += is_letter(c) ? std::to_string(at(c)) : std::string(1, c);
  return text + " = " + std::to_string(at(last_));
}

}  // namespace coe
