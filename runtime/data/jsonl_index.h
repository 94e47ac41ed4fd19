#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/group.h"
#include "runtime/data/jsonl_row.h"
#include "runtime/ranks/stop.h"

namespace coe {

/// Where a row begins: its byte, and how many tokens stand before it.
struct JsonlPlace {
  std::int64_t byte = 0, token = 0;
};

/// The newlines at a row's end, which make a blank line.
inline constexpr std::int64_t kRowEnd = 2;

/// Whether a line holds no row.
bool is_blank(std::string_view line);
/// The line of `text` that begins at byte `at`, without its line feed.
std::string_view line_at(std::string_view text, std::int64_t at);

/// Where the rows of a JSONL text stand in the run of its tokens: some of them, so that it takes at most a few MiB
/// whatever the text's size, and never far apart, so that whoever looks for a token reads few rows in vain.
class JsonlIndex {
 public:
  /// Views the text, which begins at byte `begin`, and the names. `name` is the file's, for messages.
  JsonlIndex(std::string_view text, std::int64_t begin, std::string name, std::span<const std::string> fields,
             std::int64_t vocab);

  /// Goes through the rows that begin in the next `bytes`. Throws kBadInput, "file:line: ..." for one that is not as
  /// JsonlRowReader wants it or holds a byte >= vocab.
  void extend(std::int64_t bytes);
  /// Goes through all that is left, every rank through its share of it. Collective; throws on every rank alike
  /// kBadInput, and Stopped before a second's work once `asked` is true on any.
  void extend_to_end(const Group& group, const StopAsked& asked = {});
  bool at_end() const { return next_ == static_cast<std::int64_t>(text_.size()); }

  /// Tokens of all rows so far, kRowEnd of each among them; rows of nothing else do not count before there is text.
  std::int64_t tokens() const { return tokens_; }
  /// The last place at or before `token`, of which there must be one.
  JsonlPlace before(std::int64_t token) const;
  std::size_t places() const { return places_.size(); }

 private:
  /// What a run of rows adds; places count from its beginning.
  struct Part {
    std::int64_t tokens = 0, lines = 0;
    std::vector<JsonlPlace> places;
  };

  Part scan(std::int64_t begin, std::int64_t end);
  /// Tokens of the row; throws after "file:line: ".
  std::int64_t tokens_of(std::string_view line, std::int64_t at);
  /// Of the row at byte `at`, which no earlier part holds; from 1.
  std::int64_t line_number(std::int64_t at) const;
  std::int64_t first_row(std::int64_t begin, std::int64_t end) const;
  void append(const Part& part);
  static std::string bytes_of(const Part& part);
  static Part part_of(std::string_view bytes);

  std::string_view text_;
  std::int64_t begin_, next_, apart_;
  std::string name_;
  JsonlRowReader reader_;
  std::int64_t vocab_;
  std::int64_t tokens_ = 0, lines_ = 0;
  std::vector<JsonlPlace> places_;
};

}  // namespace coe
