#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coe {

/// What a line of JSONL says in the fields that are read.
struct JsonlRow {
  std::string text;                     ///< a newline after each field, another one after the last
  std::vector<std::size_t> field_ends;  ///< where in `text` each field ends, its newlines included
};

/// Reads lines of JSONL. Fields that are not asked for may hold what they like: null, lists, NaN and Infinity as Python
/// writes them, keys that stand twice.
class JsonlRowReader {
 public:
  /// Views the names.
  explicit JsonlRowReader(std::span<const std::string> fields);
  ~JsonlRowReader();
  JsonlRowReader(JsonlRowReader&&) noexcept;

  /// The row of `line`; valid until the next call. Half of a surrogate pair becomes U+FFFD. Throws kBadInput where the
  /// line is not JSON or not UTF-8, nests more than 500 deep, is not an object, lacks a field, or has one twice or one
  /// that is not a string.
  const JsonlRow& read(std::string_view line);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace coe
