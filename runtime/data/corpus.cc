#include "runtime/data/corpus.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "kernels/memory/error.h"
#include "runtime/config/data_format.h"
#include "runtime/data/ended_documents.h"
#include "runtime/data/jsonl_file.h"
#include "runtime/data/maths/maths_problems.h"
#include "runtime/data/text_file.h"
#include "runtime/data/token_file.h"
#include "runtime/data/window_source.h"

namespace coe {

namespace {

constexpr std::uint64_t kShuffleStream = 0x77696e646f77;  // "window"
constexpr std::int64_t kHeldOut = 20;

std::unique_ptr<TokenArray> open_tokens(const DataConfig& data, const std::filesystem::path& path, std::int64_t vocab) {
  switch (data.format) {
    case DataFormat::kTokens: return open_token_file(path, TokenWidth::k16, vocab);
    case DataFormat::kTokens32: return open_token_file(path, TokenWidth::k32, vocab);
    default: return open_token_file(path, std::nullopt, vocab);
  }
}

std::unique_ptr<TokenArray> open_file(const DataConfig& data, const std::filesystem::path& path, std::int64_t vocab) {
  const DataFormat format = format_of(data, path);
  if (format == DataFormat::kJsonl) return open_jsonl_file(path, data, vocab);
  auto tokens = format == DataFormat::kText ? open_text_file(path, data.format == DataFormat::kText, vocab)
                                            : open_tokens(data, path, vocab);
  if (data.documents == Documents::kPacked) return tokens;
  return with_ended_documents(std::move(tokens), static_cast<std::int32_t>(data.end_token));
}

}  // namespace

Corpus::Corpus(const DataConfig& data, std::int64_t sequence, std::int64_t vocab, std::uint64_t seed)
    : data_(data), sequence_(sequence), vocab_(vocab), seed_(seed) {
  check(sequence >= 1, "data: a sequence has ", sequence, " tokens, must have at least 1");
}

const std::filesystem::path& Corpus::path_of(Split split) const {
  return place_of(split) == 0 ? data_.train : data_.valid;
}

void Corpus::open(Split split) {
  const std::filesystem::path& path = path_of(split);
  check_parts(path);
  if (format_of(data_, path) == DataFormat::kMaths) {
    check(path.empty(), "data.format: is \"maths\", which reads no file, but ", path.string(), " is given");
    return;
  }
  check(!path.empty(), "data.", split == Split::kTrain ? "train" : "valid",
        ": is empty, must name a file where data.format is neither \"auto\" nor \"maths\"");
  OpenFile& file = files_[place_of(split)];
  if (file.tokens) return;
  file = {path, open_file(data_, path, vocab_)};
  if (file.tokens->is_complete()) check_length(file);
}

void Corpus::check_parts(const std::filesystem::path& path) const {
  const DataFormat format = format_of(data_, path);
  const std::string name = path.empty() ? "the built-in maths problems" : path.string();
  check(data_.loss_fields.empty() || format == DataFormat::kJsonl, "data.loss_fields: is for JSONL, not for ", name);
  const bool told = format == DataFormat::kJsonl || format == DataFormat::kMaths || data_.end_token >= 0;
  check(told || data_.documents == Documents::kPacked, "data.documents: \"separate\" needs data.end_token, the ",
        is_tokens(format) ? "token" : "byte", " that ends a document of ", name);
}

void Corpus::complete(const Group& group, const StopAsked& asked) {
  for (OpenFile& file : files_) {
    if (!file.tokens || file.tokens->is_complete()) continue;
    file.tokens->complete(group, asked);
    check_length(file);
  }
}

void Corpus::check_length(const OpenFile& file) const {
  const std::int64_t tokens = file.tokens->size(), count = (tokens - 1) / sequence_;
  check(count >= 1, file.path.string(), ": has ", tokens, " tokens, must have at least ", sequence_ + 1,
        ", one sequence and a label");
  check(!serves_both() || count >= 2, file.path.string(), ": has ", tokens, " tokens, must have at least ",
        2 * sequence_ + 1, " where no validation file is given, for the end is held out");
}

std::unique_ptr<TokenSource> Corpus::source(Split split) const {
  if (format_of(data_, path_of(split)) == DataFormat::kMaths) {
    return std::make_unique<MathsSource>(seed_, split, vocab_, data_.documents);
  }
  const OpenFile& file = files_[place_of(split)];
  const std::int64_t count = (file.tokens->size() - 1) / sequence_;
  const std::int64_t held_out = serves_both() ? std::max<std::int64_t>(1, count / kHeldOut) : 0;
  WindowRange windows{0, count - held_out};
  if (serves_both() && split == Split::kValidation) windows = {count - held_out, held_out};
  const auto shuffle = split == Split::kTrain ? std::optional(RandomKey{seed_, kShuffleStream}) : std::nullopt;
  return std::make_unique<WindowSource>(file.tokens, windows, sequence_, vocab_, shuffle);
}

std::string Corpus::description(Split split) const {
  const std::filesystem::path& path = path_of(split);
  if (path.empty()) return "the built-in maths problems";
  return (split == Split::kValidation && serves_both() ? "the last twentieth of " : "") + path.string();
}

}  // namespace coe
