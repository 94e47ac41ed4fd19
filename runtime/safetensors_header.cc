#include "runtime/safetensors_header.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "kernels/error.h"

namespace coe {
namespace {

namespace json = boost::json;

constexpr std::array kDTypes = {DType::kF32, DType::kF64, DType::kI32, DType::kI64, DType::kU8, DType::kU16};
constexpr std::string_view kMetadata = "__metadata__";
constexpr std::uint64_t kAlignment = 8;

/// A name from the file as one line of bounded length.
std::string quoted(std::string_view name) {
  constexpr std::size_t kLongest = 200;
  return json::serialize(json::string(name.substr(0, kLongest)));
}

/// Sees all keys of a JSON text, which json::object does not: it keeps the last of equal ones. Stops at the first key
/// that its object had before.
class RepeatedKey {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using error_code = json::error_code;

  const std::optional<std::string>& found() const { return found_; }

  bool on_object_begin(error_code&) {
    open_.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, error_code&) {
    open_.pop_back();
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, error_code&) {
    key_ += part;
    return true;
  }
  bool on_key(json::string_view part, std::size_t, error_code& error) {
    key_ += part;
    if (!open_.back().insert(key_).second) {
      found_ = key_;
      error = json::error::syntax;
    }
    key_.clear();
    return !found_;
  }
  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t, error_code&) { return true; }
  bool on_string_part(json::string_view, std::size_t, error_code&) { return true; }
  bool on_string(json::string_view, std::size_t, error_code&) { return true; }
  bool on_number_part(json::string_view, error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, error_code&) { return true; }
  bool on_uint64(std::uint64_t, json::string_view, error_code&) { return true; }
  bool on_double(double, json::string_view, error_code&) { return true; }
  bool on_bool(bool, error_code&) { return true; }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string key_;
  std::optional<std::string> found_;
};

json::object parse_object(std::string_view text, const std::string& file) {
  json::error_code error;
  json::value value = json::parse(text, error);
  check(!error, file, ": safetensors header: not JSON: ", error.message());
  check(value.is_object(), file, ": safetensors header: not a JSON object");
  json::basic_parser<RepeatedKey> parser{json::parse_options{}};
  parser.write_some(false, text.data(), text.size(), error);
  const std::optional<std::string>& repeated = parser.handler().found();
  check(!repeated, file, ": safetensors header: ", quoted(repeated.value_or("")), " stands twice");
  return std::move(value.as_object());
}

std::optional<std::int64_t> count_in(const json::value& value) {
  if (!value.is_int64() || value.get_int64() < 0) return std::nullopt;
  return value.get_int64();
}

/// Reads one tensor's entry; `where` begins its messages.
class EntryReader {
 public:
  EntryReader(std::string_view name, const json::value& value, const std::string& file)
      : where_(file + ": tensor " + quoted(name)) {
    check(value.is_object(), where_, ": not a JSON object");
    object_ = &value.get_object();
    entry_.name = name;
  }

  SafetensorsEntry read() {
    read_dtype();
    read_shape();
    read_offsets();
    return entry_;
  }

 private:
  const json::value& field(std::string_view key) const {
    const json::value* found = object_->if_contains(key);
    check(found != nullptr, where_, ": has no ", key);
    return *found;
  }

  const json::array& list(std::string_view key) const {
    const json::value& value = field(key);
    check(value.is_array(), where_, ": ", key, " is not a list");
    return value.get_array();
  }

  void read_dtype() {
    const json::value& value = field("dtype");
    check(value.is_string(), where_, ": dtype is not a string");
    const std::string_view name = value.get_string();
    const auto* found = std::ranges::find(kDTypes, name, name_of);
    check(found != kDTypes.end(), where_, ": dtype is ", quoted(name), ", must be F32, F64, I32, I64, U8 or U16");
    entry_.dtype = *found;
  }

  void read_shape() {
    std::vector<std::int64_t> extents;
    const json::array& shape = list("shape");
    check(shape.size() <= Shape::kMaxRank, where_, ": has ", shape.size(), " axes, at most ", Shape::kMaxRank);
    for (const json::value& value : shape) {
      const auto extent = count_in(value);
      check(extent.has_value(), where_, ": shape holds ", json::serialize(value), ", must be whole numbers from 0");
      extents.push_back(*extent);
    }
    entry_.shape = Shape(extents);
  }

  void read_offsets() {
    const json::array& offsets = list("data_offsets");
    check(offsets.size() == 2, where_, ": has ", offsets.size(), " data_offsets, must be 2");
    const auto begin = count_in(offsets[0]), end = count_in(offsets[1]);
    check(begin && end && *begin <= *end, where_, ": data_offsets are ", json::serialize(offsets),
          ", must be whole numbers in order");
    entry_.begin = static_cast<std::uint64_t>(*begin);
    entry_.end = static_cast<std::uint64_t>(*end);
    std::uint64_t bytes = size_of(entry_.dtype);
    bool fits = true;
    for (int axis = 0; axis < entry_.shape.rank(); ++axis) {
      fits = fits && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(entry_.shape[axis]), &bytes);
    }
    check(fits && bytes == entry_.end - entry_.begin, where_, ": data_offsets span ", entry_.end - entry_.begin,
          " bytes, ", name_of(entry_.dtype), " ", entry_.shape.text(), " needs ",
          fits ? std::to_string(bytes) : std::string("more than there are numbers for"));
  }

  std::string where_;
  const json::object* object_ = nullptr;
  SafetensorsEntry entry_;
};

std::map<std::string, std::string> read_metadata(const json::value& value, const std::string& file) {
  check(value.is_object(), file, ": safetensors metadata: not a JSON object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.get_object()) {
    check(text.is_string(), file, ": safetensors metadata: ", quoted(key), " is not a string");
    metadata.emplace(key, text.get_string());
  }
  return metadata;
}

/// Entries must tile the data: sorted, each begins where the one before ends, and the last ends with the file.
void require_tiling(const std::vector<SafetensorsEntry>& entries, std::uint64_t data_bytes, const std::string& file) {
  std::uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    check(entry.end <= data_bytes, file, ": tensor ", quoted(entry.name), ": ends at byte ", entry.end,
          " of the data, which has ", data_bytes);
    check(entry.begin >= end, file, ": tensor ", quoted(entry.name), ": begins at byte ", entry.begin,
          ", inside the tensor before it, which ends at ", end);
    check(entry.begin == end, file, ": tensor ", quoted(entry.name), ": begins at byte ", entry.begin,
          ", must follow the tensor before it at ", end);
    end = entry.end;
  }
  check(end == data_bytes, file, ": ", data_bytes - end, " bytes of the data belong to no tensor");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes, const std::string& file) {
  SafetensorsHeader header;
  for (const auto& [key, value] : parse_object(text, file)) {
    if (std::string_view(key) == kMetadata) {
      header.metadata = read_metadata(value, file);
    } else {
      header.entries.push_back(EntryReader(key, value, file).read());
    }
  }
  const auto place = [](const SafetensorsEntry& entry) { return std::tie(entry.begin, entry.end, entry.name); };
  std::ranges::sort(header.entries, {}, place);
  require_tiling(header.entries, data_bytes, file);
  return header;
}

std::string safetensors_header_text(const SafetensorsHeader& header) {
  json::object object;
  if (!header.metadata.empty()) {
    json::object& metadata = object[kMetadata].emplace_object();
    for (const auto& [key, value] : header.metadata) metadata[key] = value;
  }
  for (const SafetensorsEntry& entry : header.entries) {
    json::array shape;
    for (int axis = 0; axis < entry.shape.rank(); ++axis) shape.push_back(entry.shape[axis]);
    object[entry.name] = {
        {"dtype", name_of(entry.dtype)}, {"shape", std::move(shape)}, {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text = json::serialize(object);
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}

}  // namespace coe
