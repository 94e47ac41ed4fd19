#include "runtime/data/jsonl_row.h"

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <utility>

#include "kernels/memory/error.h"
#include "runtime/files/json_walk.h"

namespace coe {
namespace {

namespace json = boost::json;
using namespace std::string_view_literals;

/// Takes the parser's events and keeps the strings of the wanted fields; everything else passes by.
class FieldHandler {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using error_code = json::error_code;

  explicit FieldHandler(std::span<const std::string> fields)
      : fields_(fields), values_(fields.size()), seen_(fields.size()) {}

  void begin() {
    depth_ = 0;
    key_.clear();
    wanted_ = kNone;
    seen_.assign(seen_.size(), false);
  }
  /// From now on names of keys are kept, the first of them.
  void keep_keys() { keeps_keys_ = true; }
  std::string keys() const { return keys_.empty() ? "no field" : keys_; }
  std::span<const std::string> fields() const { return fields_; }
  bool saw(std::size_t field) const { return seen_[field]; }
  const std::string& value(std::size_t field) const { return values_[field]; }

  bool on_object_begin(error_code&) { return open("an object"); }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_begin(error_code&) { return open("a list"); }
  bool on_array_end(std::size_t, error_code&) { return close(); }
  bool on_key_part(json::string_view part, std::size_t, error_code&) {
    if (depth_ == 1) key_ += part;
    return true;
  }
  bool on_key(json::string_view part, std::size_t, error_code&) {
    if (depth_ != 1) return true;
    key_ += part;
    if (keeps_keys_ && keys_.size() < kLongestList) keys_ += (keys_.empty() ? "" : ", ") + in_quotes(key_);
    wanted_ = static_cast<std::size_t>(std::ranges::find(fields_, key_) - fields_.begin());
    if (wanted_ == fields_.size()) wanted_ = kNone;
    if (wanted_ != kNone) {
      check(!seen_[wanted_], in_quotes(key_), " stands twice");
      seen_[wanted_] = true;
      values_[wanted_].clear();
    }
    key_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, error_code&) {
    if (depth_ == 1 && wanted_ != kNone) values_[wanted_] += part;
    return true;
  }
  bool on_string(json::string_view part, std::size_t, error_code&) {
    check(depth_ > 0, "is a string, must be an object");
    if (depth_ == 1 && wanted_ != kNone) values_[wanted_] += part;
    return true;
  }
  bool on_number_part(json::string_view, error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, error_code&) { return pass("a whole number"); }
  bool on_uint64(std::uint64_t, json::string_view, error_code&) { return pass("a whole number"); }
  bool on_double(double, json::string_view, error_code&) { return pass("a number"); }
  bool on_bool(bool value, error_code&) { return pass(value ? "true" : "false"); }
  bool on_null(error_code&) { return pass("null"); }
  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  static constexpr std::size_t kLongestList = 200;

  /// A value that is no string.
  bool pass(std::string_view kind) const {
    check(depth_ > 0 || kind == "an object", "is ", kind, ", must be an object");
    if (depth_ == 1 && wanted_ != kNone) {
      fail(ErrorCode::kBadInput, "field ", in_quotes(fields_[wanted_]), " is ", kind, ", must be a string");
    }
    return true;
  }
  bool open(std::string_view kind) {
    pass(kind);
    ++depth_;
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }

  std::span<const std::string> fields_;
  std::vector<std::string> values_;
  std::vector<bool> seen_;
  int depth_ = 0;
  std::string key_, keys_;
  bool keeps_keys_ = false;
  std::size_t wanted_ = kNone;  ///< the field whose value comes next
};

json::parse_options options() {
  constexpr std::size_t kDeepest = 500;
  json::parse_options options;
  options.max_depth = kDeepest;
  return options;
}

/// The 16 bits of "\uXXXX" at `at`, or -1.
int escaped_unit(std::string_view line, std::size_t at) {
  constexpr std::size_t kLength = 6;
  if (line.size() < at + kLength || line[at] != '\\' || line[at + 1] != 'u') return -1;
  int unit = 0;
  for (const char digit : line.substr(at + 2, 4)) {
    const auto value = "0123456789abcdefABCDEF"sv.find(digit);
    if (value == std::string_view::npos) return -1;
    unit = unit * 16 + static_cast<int>(value < 16 ? value : value - 6);
  }
  return unit;
}

bool is_high(int unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low(int unit) { return unit >= 0xdc00 && unit < 0xe000; }

/// Goes over a line that is not JSON and puts something of the same length in the place of what Python writes and JSON
/// forbids, so that bytes keep their numbers.
class Repair {
 public:
  explicit Repair(std::string_view line) : line_(line) {
    while (at_ < line_.size()) step();
  }
  const std::string& line() const { return line_; }
  bool changed() const { return changed_; }

 private:
  void step() {
    if (line_[at_] == '"') {
      in_string_ = !in_string_;
      ++at_;
    } else if (in_string_) {
      step_in_string();
    } else if (!replace("-Infinity", "-1e0     ") && !replace("Infinity", "1e0     ") && !replace("NaN", "1e0")) {
      ++at_;
    }
  }

  void step_in_string() {
    constexpr std::size_t kUnit = 6;
    if (line_[at_] != '\\') {
      ++at_;
      return;
    }
    const int unit = escaped_unit(line_, at_);
    if (unit < 0) {
      at_ += 2;  // whatever is escaped does not end the string
    } else if (is_high(unit) && is_low(escaped_unit(line_, at_ + kUnit))) {
      at_ += 2 * kUnit;
    } else if (is_high(unit) || is_low(unit)) {
      replace(line_.substr(at_, kUnit), "\\ufffd");
    } else {
      at_ += kUnit;
    }
  }

  bool replace(std::string_view word, std::string_view other) {
    if (std::string_view(line_).substr(at_, word.size()) != word) return false;
    line_.replace(at_, other.size(), other);
    at_ += other.size();
    return changed_ = true;
  }

  std::string line_;
  std::size_t at_ = 0;
  bool in_string_ = false, changed_ = false;
};

}  // namespace

struct JsonlRowReader::Parser {
  explicit Parser(std::span<const std::string> fields) : json(options(), fields) {}

  /// What is wrong with the line, "" where nothing is.
  std::string parse(std::string_view line);
  void take_fields(std::string_view line);
  [[noreturn]] void refuse_without(const std::string& field, std::string_view line);

  json::basic_parser<FieldHandler> json;
  JsonlRow row;
};

std::string JsonlRowReader::Parser::parse(std::string_view line) {
  json.reset();
  json.handler().begin();
  json::error_code error;
  const std::size_t read = json.write_some(false, line.data(), line.size(), error);
  if (error) return "not JSON: " + error.message() + ", after " + std::to_string(read) + " bytes";
  if (line.find_first_not_of(" \t\r\n", read) == std::string_view::npos) return "";
  return "not JSON: more follows after " + std::to_string(read) + " bytes";
}

void JsonlRowReader::Parser::take_fields(std::string_view line) {
  const FieldHandler& handler = json.handler();
  row.text.clear();
  row.field_ends.clear();
  for (const std::string& name : handler.fields()) {
    // A name that stands twice among the fields has its value at the first.
    const auto field = static_cast<std::size_t>(std::ranges::find(handler.fields(), name) - handler.fields().begin());
    if (!handler.saw(field)) refuse_without(name, line);
    row.text += handler.value(field);
    row.text += '\n';
    row.field_ends.push_back(row.text.size());
  }
  row.text += '\n';
  row.field_ends.back() = row.text.size();
}

void JsonlRowReader::Parser::refuse_without(const std::string& field, std::string_view line) {
  json.handler().keep_keys();
  parse(line);
  fail(ErrorCode::kBadInput, "lacks the field ", in_quotes(field), " of data.fields; it has ", json.handler().keys());
}

JsonlRowReader::JsonlRowReader(std::span<const std::string> fields) : parser_(std::make_unique<Parser>(fields)) {}
JsonlRowReader::~JsonlRowReader() = default;
JsonlRowReader::JsonlRowReader(JsonlRowReader&&) noexcept = default;

const JsonlRow& JsonlRowReader::read(std::string_view line) {
  const std::string wrong = parser_->parse(line);
  if (wrong.empty()) {
    parser_->take_fields(line);
    return parser_->row;
  }
  const Repair repair(line);
  check(repair.changed() && parser_->parse(repair.line()).empty(), wrong);
  parser_->take_fields(repair.line());
  return parser_->row;
}

}  // namespace coe
