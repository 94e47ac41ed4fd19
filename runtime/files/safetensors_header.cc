#include "runtime/files/safetensors_header.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>
#include <span>
#include <tuple>

#include "kernels/memory/error.h"
#include "runtime/files/json_text.h"
#include "runtime/files/json_walk.h"

namespace coe {
namespace {

namespace json = boost::json;

constexpr std::array kDTypes = {DType::kF32, DType::kF64, DType::kI32, DType::kI64, DType::kU8, DType::kU16};
constexpr std::string_view kMetadata = "__metadata__";
constexpr std::uint64_t kAlignment = 8;
constexpr std::size_t kLongestNumber = 40;  ///< that a message repeats

/// Builds a header from what its JSON says, in whatever order it says it.
class HeaderReader {
 public:
  HeaderReader(SafetensorsHeader& header, const std::string& file) : header_(header), file_(file) {}

  void take(std::span<const std::string> path, const JsonItem& item) {
    const bool ends = item.kind == JsonItem::Kind::kEnd;
    if (path.empty()) {
      check(ends || item.kind == JsonItem::Kind::kObject, file_, ": safetensors header: not a JSON object");
    } else if (path[0] == kMetadata) {
      if (!ends) take_metadata(path, item);
    } else {
      take_tensor(path, item);
    }
  }

 private:
  using Kind = JsonItem::Kind;

  void take_metadata(std::span<const std::string> path, const JsonItem& item) {
    if (path.size() == 1) {
      check(item.kind == Kind::kObject, file_, ": safetensors metadata: not a JSON object");
      return;
    }
    check(item.kind == Kind::kString, file_, ": safetensors metadata: ", in_quotes(path[1]), " is not a string");
    header_.metadata.emplace(path[1], item.text);
  }

  void take_tensor(std::span<const std::string> path, const JsonItem& item) {
    if (path.size() == 1) {
      if (item.kind == Kind::kEnd) return finish();
      tensor_ = {};
      tensor_.name = path[0];
      check(item.kind == Kind::kObject, where(), ": not a JSON object");
    } else if (path[1] == "dtype") {
      take_dtype(item);
    } else if (path[1] == "shape") {
      take_number("shape", path.size(), item, tensor_.shape, Shape::kMaxRank);
    } else if (path[1] == "data_offsets") {
      take_number("data_offsets", path.size(), item, tensor_.offsets, 2);
    }
  }

  void take_dtype(const JsonItem& item) {
    check(item.kind == Kind::kString, where(), ": dtype is not a string");
    const auto* found = std::ranges::find(kDTypes, item.text, name_of);
    check(found != kDTypes.end(), where(), ": dtype is ", in_quotes(item.text),
          ", must be F32, F64, I32, I64, U8 or U16");
    tensor_.dtype = *found;
  }

  /// Takes the beginning, an element or the end of a list of whole numbers.
  void take_number(std::string_view key, std::size_t depth, const JsonItem& item,
                   std::optional<std::vector<std::int64_t>>& list, std::size_t most) {
    if (item.kind == Kind::kEnd) return;
    if (depth == 2) {
      check(item.kind == Kind::kList, where(), ": ", key, " is not a list");
      list.emplace();
      return;
    }
    check(item.kind == Kind::kInteger && item.integer >= 0, where(), ": ", key, " holds ",
          item.text.empty() ? item.kind_text() : item.text.substr(0, kLongestNumber), ", must be whole numbers from 0");
    check(list->size() < most, where(), ": ", key, " has more than ", most, " numbers");
    list->push_back(item.integer);
  }

  void finish() {
    check(tensor_.dtype.has_value(), where(), ": has no dtype");
    check(tensor_.shape.has_value(), where(), ": has no shape");
    check(tensor_.offsets.has_value(), where(), ": has no data_offsets");
    const std::vector<std::int64_t>& offsets = *tensor_.offsets;
    check(offsets.size() == 2, where(), ": has ", offsets.size(), " data_offsets, must be 2");
    check(offsets[0] <= offsets[1], where(), ": data_offsets are ", offsets[0], " and ", offsets[1],
          ", must be in order");
    header_.entries.push_back({tensor_.name, *tensor_.dtype, Shape(*tensor_.shape),
                               static_cast<std::uint64_t>(offsets[0]), static_cast<std::uint64_t>(offsets[1])});
    check_size(header_.entries.back());
  }

  void check_size(const SafetensorsEntry& entry) const {
    std::uint64_t bytes = size_of(entry.dtype);
    bool fits = true;
    for (int axis = 0; axis < entry.shape.rank(); ++axis) {
      fits = fits && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(entry.shape[axis]), &bytes);
    }
    check(fits && bytes == entry.end - entry.begin, where(), ": data_offsets span ", entry.end - entry.begin,
          " bytes, ", name_of(entry.dtype), " ", entry.shape.text(), " needs ",
          fits ? std::to_string(bytes) : std::string("more than there are numbers for"));
  }

  std::string where() const { return file_ + ": tensor " + in_quotes(tensor_.name); }

  /// What was said of the tensor that is open.
  struct {
    std::string name;
    std::optional<DType> dtype;
    std::optional<std::vector<std::int64_t>> shape, offsets;
  } tensor_;
  SafetensorsHeader& header_;
  const std::string& file_;
};

/// Entries must tile the data: sorted, each begins where the one before ends, and the last ends with the file.
void require_tiling(const std::deque<SafetensorsEntry>& entries, std::uint64_t data_bytes, const std::string& file) {
  std::uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    check(entry.end <= data_bytes, file, ": tensor ", in_quotes(entry.name), ": ends at byte ", entry.end,
          " of the data, which has ", data_bytes);
    check(entry.begin >= end, file, ": tensor ", in_quotes(entry.name), ": begins at byte ", entry.begin,
          ", inside the tensor before it, which ends at ", end);
    check(entry.begin == end, file, ": tensor ", in_quotes(entry.name), ": begins at byte ", entry.begin,
          ", must follow the tensor before it at ", end);
    end = entry.end;
  }
  check(end == data_bytes, file, ": ", data_bytes - end, " bytes of the data belong to no tensor");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes, const std::string& file) {
  SafetensorsHeader header;
  HeaderReader reader(header, file);
  walk_json(text, file + ": safetensors header",
            [&](std::span<const std::string> path, const JsonItem& item) { reader.take(path, item); });
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
  std::string text = json_text(object);
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}

}  // namespace coe
