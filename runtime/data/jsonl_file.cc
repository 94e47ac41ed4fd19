#include "runtime/data/jsonl_file.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "kernels/memory/error.h"
#include "runtime/files/json_walk.h"
#include "runtime/files/mapped_file.h"

namespace coe {

namespace {

class DecodedText final : public TokenArray {
 public:
  explicit DecodedText(std::string text) : text_(std::move(text)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(text_.size()); }

  void copy(std::int64_t first, std::span<std::int32_t> tokens) const override {
    const auto source = std::string_view(text_).substr(static_cast<std::size_t>(first), tokens.size());
    std::transform(source.begin(), source.end(), tokens.begin(), [](char c) { return static_cast<unsigned char>(c); });
  }

 private:
  std::string text_;
};

/// Picks the fields of a document out of what its JSON says.
class FieldReader {
 public:
  FieldReader(std::span<const std::string> fields, const std::string& where)
      : fields_(fields), where_(where), values_(fields.size()) {}

  void take(std::span<const std::string> path, const JsonItem& item) {
    if (item.kind == JsonItem::Kind::kEnd || path.size() > 1) return;
    if (path.empty()) {
      check(item.kind == JsonItem::Kind::kObject, where_, ": is ", item.kind_text(), ", must be an object");
      return;
    }
    if (seen_.size() < kLongestList) seen_ += (seen_.empty() ? "" : ", ") + in_quotes(path[0]);
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      if (fields_[i] != path[0]) continue;
      check(item.kind == JsonItem::Kind::kString, where_, ": field ", in_quotes(path[0]), " is ", item.kind_text(),
            ", must be a string");
      values_[i] = item.text;
    }
  }

  std::string document() const {
    std::string document;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      check(values_[i].has_value(), where_, ": lacks the field ", in_quotes(fields_[i]), " of data.fields; it has ",
            seen_.empty() ? "no field" : seen_);
      if (i > 0) document += '\n';
      document += *values_[i];
    }
    return document;
  }

 private:
  static constexpr std::size_t kLongestList = 200;

  std::span<const std::string> fields_;
  const std::string& where_;
  std::vector<std::optional<std::string>> values_;
  std::string seen_;  ///< the names of the first fields
};

/// `where` is "file:line".
std::string document_of(std::string_view line, std::span<const std::string> fields, const std::string& where) {
  FieldReader reader(fields, where);
  walk_json(line, where, [&](std::span<const std::string> path, const JsonItem& item) { reader.take(path, item); });
  return reader.document();
}

void check_bytes(const std::string& document, std::int64_t vocab, const std::string& where) {
  for (const char c : document)
    check(static_cast<unsigned char>(c) < vocab, where, ": holds byte ",
          static_cast<int>(static_cast<unsigned char>(c)), ", must be below model.vocab, which is ", vocab);
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

}  // namespace

std::unique_ptr<TokenArray> open_jsonl_file(const std::filesystem::path& path, std::span<const std::string> fields,
                                            std::int64_t vocab) {
  check(!fields.empty(), "data.fields: is empty, must name the fields to read from ", path.string());
  const MappedFile file(path);
  std::string_view rest(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  std::string text;
  text.reserve(rest.size());
  for (std::int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (is_blank(line)) continue;
    const std::string where = path.string() + ':' + std::to_string(number);
    const std::string document = document_of(line, fields, where);
    check_bytes(document, vocab, where);
    if (!text.empty()) text += "\n\n";
    text += document;
  }
  check(!text.empty(), path.string(), ": holds no text");
  return std::make_unique<DecodedText>(std::move(text));
}

}  // namespace coe
