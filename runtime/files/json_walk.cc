#include "runtime/files/json_walk.h"

#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <set>
#include <utility>
#include <vector>

#include "kernels/memory/error.h"
#include "runtime/files/json_text.h"

namespace coe {
namespace {

namespace json = boost::json;

/// Takes the parser's events; keeps the path and, for each open object, the keys that it had.
class Walker {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using error_code = json::error_code;
  using Kind = JsonItem::Kind;

  /// A string may come in pieces; together they are no longer than the text.
  Walker(std::size_t longest, const std::string& where, const JsonVisitor& visit) : where_(where), visit_(visit) {
    text_.reserve(longest);
  }

  bool on_object_begin(error_code&) { return open({.kind = Kind::kObject}); }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_begin(error_code&) { return open({.kind = Kind::kList}); }
  bool on_array_end(std::size_t, error_code&) { return close(); }
  bool on_key_part(json::string_view part, std::size_t, error_code&) {
    text_ += part;
    return true;
  }
  bool on_key(json::string_view part, std::size_t, error_code&) {
    text_ += part;
    path_.back() = text_;
    text_.clear();
    check(keys_.back().insert(path_.back()).second, where_, ": ", in_quotes(path_.back()), " stands twice");
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, error_code&) {
    text_ += part;
    return true;
  }
  bool on_string(json::string_view part, std::size_t, error_code&) {
    text_ += part;
    visit_(path_, {.kind = Kind::kString, .text = text_});
    text_.clear();
    return true;
  }
  bool on_number_part(json::string_view, error_code&) { return true; }
  bool on_int64(std::int64_t integer, json::string_view text, error_code&) {
    return tell({.kind = Kind::kInteger, .text = text, .integer = integer});
  }
  bool on_uint64(std::uint64_t, json::string_view text, error_code&) { return tell({.text = text}); }
  bool on_double(double, json::string_view text, error_code&) { return tell({.text = text}); }
  bool on_bool(bool value, error_code&) { return tell({.text = value ? "true" : "false"}); }
  bool on_null(error_code&) { return tell({.text = "null"}); }
  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

 private:
  bool tell(const JsonItem& item) {
    visit_(path_, item);
    return true;
  }
  bool open(const JsonItem& item) {
    visit_(path_, item);
    path_.emplace_back();
    keys_.emplace_back();
    return true;
  }
  bool close() {
    path_.pop_back();
    keys_.pop_back();
    visit_(path_, {.kind = Kind::kEnd});
    return true;
  }

  const std::string& where_;
  const JsonVisitor& visit_;
  std::vector<std::string> path_;
  std::vector<std::set<std::string, std::less<>>> keys_;
  std::string text_;
};

}  // namespace

std::string_view JsonItem::kind_text() const {
  switch (kind) {
    case Kind::kObject: return "an object";
    case Kind::kList: return "a list";
    case Kind::kString: return "a string";
    case Kind::kInteger: return "a whole number";
    default: return "neither text, whole number, list nor object";
  }
}

void walk_json(std::string_view text, const std::string& where, const JsonVisitor& visit) {
  json::basic_parser<Walker> parser(json::parse_options{}, text.size(), where, visit);
  json::error_code error;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
  check(!error, where, ": not JSON: ", error.message(), ", after ", read, " bytes");
  const bool only_blanks = text.find_first_not_of(" \t\r\n", read) == std::string_view::npos;
  check(only_blanks, where, ": not JSON: more follows after ", read, " bytes");
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  std::string shown = json_text(json::string(text.substr(0, kLongest)));
  return text.size() > kLongest ? std::move(shown) + "..." : shown;
}

}  // namespace coe
