#include "runtime/jsonl_file.h"

#include <algorithm>
#include <boost/json.hpp>
#include <string_view>

#include "kernels/error.h"
#include "runtime/mapped_file.h"

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

std::string keys_of(const boost::json::object& object) {
  std::string keys;
  for (const auto& member : object) keys += (keys.empty() ? "\"" : ", \"") + std::string(member.key()) + '"';
  return keys.empty() ? "no field" : keys;
}

/// `where` is "file:line".
std::string document_of(std::string_view line, std::span<const std::string> fields, const std::string& where) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(boost::json::string_view(line.data(), line.size()), error);
  check(!error, where, ": is not JSON: ", error.message());
  check(value.is_object(), where, ": is a JSON ", boost::json::to_string(value.kind()), ", must be an object");

  const boost::json::object& object = value.get_object();
  std::string document;
  for (const std::string& field : fields) {
    const boost::json::value* const found = object.if_contains(field);
    check(found != nullptr, where, ": lacks the field \"", field, "\" of data.fields; it has ", keys_of(object));
    check(found->is_string(), where, ": field \"", field, "\" is ", boost::json::to_string(found->kind()),
          ", must be a string");
    if (&field != &fields.front()) document += '\n';
    document.append(found->get_string().data(), found->get_string().size());
  }
  return document;
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
