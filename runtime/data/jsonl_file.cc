#include "runtime/data/jsonl_file.h"

#include <algorithm>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/memory/error.h"
#include "runtime/data/jsonl_index.h"
#include "runtime/data/jsonl_row.h"
#include "runtime/data/text_encoding.h"
#include "runtime/files/mapped_file.h"

namespace coe {

namespace {

const JsonlRow kNothing;

class JsonlFile final : public TokenArray {
 public:
  JsonlFile(const std::filesystem::path& path, const DataConfig& data, std::int64_t vocab)
      : fields_(data.fields),
        separate_(data.documents == Documents::kSeparate),
        name_(path.string()),
        file_(path),
        text_(reinterpret_cast<const char*>(file_.bytes().data()), file_.bytes().size()),
        index_(text_, begin_of_rows(), name_, fields_, vocab),
        reader_(fields_) {
    for (const std::string& field : fields_) {
      counted_.push_back(data.loss_fields.empty() || std::ranges::count(data.loss_fields, field) > 0);
    }
    index_.extend(kLookedThrough);
    check(index_.tokens() > 0, name_, ": holds no text");
  }

  std::int64_t size() const override { return index_.tokens() - kRowEnd; }
  bool marked() const override { return separate_ || std::ranges::count(counted_, false) > 0; }
  bool is_complete() const override { return index_.at_end(); }
  void complete(const Group& group, const StopAsked& asked) override { index_.extend_to_end(group, asked); }

  void copy(std::int64_t first, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override {
    const std::lock_guard lock(mutex_);
    JsonlPlace place = index_.before(first);
    for (std::size_t filled = 0; filled < tokens.size();) {
      const std::string_view line = line_at(text_, place.byte);
      const JsonlRow& row = is_blank(line) ? kNothing : row_at(place.byte, line);
      const std::int64_t inside = first + static_cast<std::int64_t>(filled) - place.token;
      if (std::cmp_less(inside, row.text.size())) {
        const auto begin = static_cast<std::size_t>(inside);
        const std::size_t count = std::min(row.text.size() - begin, tokens.size() - filled);
        std::ranges::transform(std::string_view(row.text).substr(begin, count),
                               tokens.begin() + static_cast<std::ptrdiff_t>(filled),
                               [](char c) { return static_cast<unsigned char>(c); });
        if (!marks.empty()) mark(row, begin, marks.subspan(filled, count));
        filled += count;
      }
      place = {place.byte + static_cast<std::int64_t>(line.size()) + 1,
               place.token + static_cast<std::int64_t>(row.text.size())};
    }
  }

 private:
  std::int64_t begin_of_rows() const {
    check(!fields_.empty(), "data.fields: is empty, must name the fields to read from ", name_);
    const std::string_view kind = not_text(file_.bytes());
    check(kind.empty(), name_, ": is ", kind, ", must be JSONL");
    return static_cast<std::int64_t>(begin_of_text(file_.bytes(), name_));
  }

  /// The row of the line at `byte`; the last one is kept, for windows of a long row.
  const JsonlRow& row_at(std::int64_t byte, std::string_view line) const {
    if (row_byte_ == byte) return *row_;
    row_byte_ = -1;
    try {
      row_ = &reader_.read(line);
    } catch (const Error& error) {
      fail(error.code(), name_, ": has changed since the run began: ", error.what());
    }
    row_byte_ = byte;
    return *row_;
  }

  void mark(const JsonlRow& row, std::size_t begin, std::span<std::uint8_t> marks) const {
    for (std::size_t field = 0, at = begin; at < begin + marks.size(); ++field) {
      const std::size_t end = std::clamp(row.field_ends[field], at, begin + marks.size());
      std::ranges::fill(marks.subspan(at - begin, end - at),
                        counted_[field] ? std::uint8_t{0} : std::uint8_t{kUncounted});
      at = end;
    }
    if (separate_ && begin == 0) marks.front() |= kBegins;
  }

  std::vector<std::string> fields_;
  std::vector<bool> counted_;  ///< of the fields
  bool separate_;
  std::string name_;
  MappedFile file_;
  std::string_view text_;
  JsonlIndex index_;
  mutable std::mutex mutex_;
  mutable JsonlRowReader reader_;
  mutable const JsonlRow* row_ = nullptr;
  mutable std::int64_t row_byte_ = -1;
};

}  // namespace

std::unique_ptr<TokenArray> open_jsonl_file(const std::filesystem::path& path, const DataConfig& data,
                                            std::int64_t vocab) {
  return std::make_unique<JsonlFile>(path, data, vocab);
}

}  // namespace coe
