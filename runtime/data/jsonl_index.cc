#include "runtime/data/jsonl_index.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/memory/error.h"
#include "runtime/ranks/agree.h"

namespace coe {
namespace {

/// Places are this many bytes apart, or more where there would be too many.
constexpr std::int64_t kApart = 4096, kMostPlaces = std::int64_t{1} << 18;
/// What a rank goes through between two meetings: not so much that a rank is missed for long or a signal unheard.
constexpr std::int64_t kShare = std::int64_t{2} << 20;

void append_number(std::int64_t number, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::int64_t number_at(std::string_view bytes, std::size_t index) {
  std::int64_t number = 0;
  std::memcpy(&number, bytes.data() + index * sizeof number, sizeof number);
  return number;
}

}  // namespace

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

std::string_view line_at(std::string_view text, std::int64_t at) {
  const std::string_view rest = text.substr(static_cast<std::size_t>(at));
  return rest.substr(0, rest.find('\n'));
}

JsonlIndex::JsonlIndex(std::string_view text, std::int64_t begin, std::string name, std::span<const std::string> fields,
                       std::int64_t vocab)
    : text_(text),
      begin_(begin),
      next_(begin),
      apart_(std::max(kApart, static_cast<std::int64_t>(text.size()) / kMostPlaces)),
      name_(std::move(name)),
      reader_(fields),
      vocab_(vocab) {}

void JsonlIndex::extend(std::int64_t bytes) {
  const std::int64_t end = std::min(next_ + bytes, static_cast<std::int64_t>(text_.size()));
  append(scan(next_, end));
  next_ = end;
}

void JsonlIndex::extend_to_end(const Group& group, const StopAsked& asked) {
  const auto size = static_cast<std::int64_t>(text_.size());
  while (!at_end()) {
    look_for_stop(group, asked);
    const std::int64_t begin = std::min(next_ + group.rank() * kShare, size), end = std::min(begin + kShare, size);
    const auto parts = agree(group, {.name = "going through the data"}, [&] { return bytes_of(scan(begin, end)); });
    for (const std::string& part : parts) append(part_of(part));
    next_ = std::min(next_ + group.size() * kShare, size);
  }
}

JsonlPlace JsonlIndex::before(std::int64_t token) const {
  const auto after = std::ranges::upper_bound(places_, token, {}, &JsonlPlace::token);
  if (after == places_.begin()) fail(ErrorCode::kInternal, "jsonl index: token ", token, " stands before all places");
  return *std::prev(after);
}

std::int64_t JsonlIndex::first_row(std::int64_t begin, std::int64_t end) const {
  if (begin == begin_ || begin >= end || text_[static_cast<std::size_t>(begin) - 1] == '\n') return begin;
  const auto range = text_.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  const std::size_t feed = range.find('\n');
  return feed == std::string_view::npos ? end : begin + static_cast<std::int64_t>(feed) + 1;
}

JsonlIndex::Part JsonlIndex::scan(std::int64_t begin, std::int64_t end) {
  Part part;
  std::int64_t at = first_row(begin, end);
  while (at < end) {
    const std::string_view line = line_at(text_, at);
    std::int64_t tokens = is_blank(line) ? 0 : tokens_of(line, at);
    const bool nothing_yet = tokens_ == 0 && part.tokens == 0;
    if (nothing_yet && tokens == kRowEnd) tokens = 0;
    if (tokens > 0 && (part.places.empty() || at - part.places.back().byte >= apart_)) {
      part.places.push_back({at, part.tokens});
    }
    part.tokens += tokens;
    ++part.lines;
    at += static_cast<std::int64_t>(line.size()) + 1;
  }
  return part;
}

std::int64_t JsonlIndex::tokens_of(std::string_view line, std::int64_t at) {
  try {
    const JsonlRow& row = reader_.read(line);
    for (const char c : row.text) {
      const int byte = static_cast<unsigned char>(c);
      check(byte < vocab_, "holds byte ", byte, ", must be below model.vocab, which is ", vocab_);
    }
    return static_cast<std::int64_t>(row.text.size());
  } catch (const Error& error) {
    fail(error.code(), name_, ':', line_number(at), ": ", error.what());
  }
}

std::int64_t JsonlIndex::line_number(std::int64_t at) const {
  const auto next = static_cast<std::size_t>(next_);
  const bool within_a_line = next_ > begin_ && text_[next - 1] != '\n';
  const auto between = text_.substr(next, static_cast<std::size_t>(at - next_));
  return lines_ + std::ranges::count(between, '\n') + (within_a_line ? 0 : 1);
}

void JsonlIndex::append(const Part& part) {
  for (const JsonlPlace& place : part.places) places_.push_back({place.byte, tokens_ + place.token});
  tokens_ += part.tokens;
  lines_ += part.lines;
}

std::string JsonlIndex::bytes_of(const Part& part) {
  std::string bytes;
  for (const std::int64_t number : {part.tokens, part.lines}) append_number(number, bytes);
  for (const JsonlPlace& place : part.places) {
    append_number(place.byte, bytes);
    append_number(place.token, bytes);
  }
  return bytes;
}

JsonlIndex::Part JsonlIndex::part_of(std::string_view bytes) {
  Part part{number_at(bytes, 0), number_at(bytes, 1), {}};
  for (std::size_t i = 2; i < bytes.size() / sizeof(std::int64_t); i += 2) {
    part.places.push_back({number_at(bytes, i), number_at(bytes, i + 1)});
  }
  return part;
}

}  // namespace coe
