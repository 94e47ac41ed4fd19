#include "runtime/data/token_source.h"

#include <algorithm>

#include "kernels/memory/error.h"
#include "runtime/data/jsonl_file.h"
#include "runtime/data/maths/maths_problems.h"
#include "runtime/data/text_file.h"
#include "runtime/data/token_file.h"
#include "runtime/data/window_source.h"

namespace coe {

namespace {

constexpr std::uint64_t kShuffleStream = 0x77696e646f77;  // "window"
constexpr std::int64_t kHeldOut = 20;

DataFormat format_of(const DataConfig& data, const std::filesystem::path& path) {
  if (data.format != DataFormat::kAuto) return data.format;
  if (path.empty()) return DataFormat::kMaths;
  if (path.extension() == ".jsonl") return DataFormat::kJsonl;
  return path.extension() == ".bin" ? DataFormat::kTokens : DataFormat::kText;
}

std::unique_ptr<TokenArray> open_tokens(const DataConfig& data, const std::filesystem::path& path, std::int64_t vocab) {
  switch (format_of(data, path)) {
    case DataFormat::kJsonl: return open_jsonl_file(path, data.fields, vocab);
    case DataFormat::kTokens: return open_token_file(path, vocab);
    default: return open_text_file(path, vocab);
  }
}

/// All windows of a file; where it has to serve both splits, the last twentieth is for validation.
WindowRange windows_of(std::int64_t tokens, std::int64_t sequence, bool serves_both, Split split,
                       const std::filesystem::path& path) {
  const std::int64_t count = (tokens - 1) / sequence;
  check(count >= 1, path.string(), ": has ", tokens, " tokens, must have at least ", sequence + 1,
        ", one sequence and a label");
  if (!serves_both) return {0, count};
  check(count >= 2, path.string(), ": has ", tokens, " tokens, must have at least ", 2 * sequence + 1,
        " where no validation file is given, for the end is held out");
  const std::int64_t held_out = std::max<std::int64_t>(1, count / kHeldOut);
  return split == Split::kTrain ? WindowRange{0, count - held_out} : WindowRange{count - held_out, held_out};
}

}  // namespace

std::unique_ptr<TokenSource> make_token_source(const DataConfig& data, Split split, std::int64_t sequence,
                                               std::int64_t vocab, std::uint64_t seed) {
  check(sequence >= 1, "data: a sequence has ", sequence, " tokens, must have at least 1");
  const bool serves_both = data.valid.empty() && !data.train.empty();
  const std::filesystem::path& path = split == Split::kTrain || serves_both ? data.train : data.valid;
  const DataFormat format = format_of(data, path);
  if (format == DataFormat::kMaths) {
    check(path.empty(), "data.format: is \"maths\", which reads no file, but ", path.string(), " is given");
    return std::make_unique<MathsSource>(seed, split, vocab);
  }
  check(!path.empty(), "data.", split == Split::kTrain ? "train" : "valid",
        ": is empty, must name a file where data.format is neither \"auto\" nor \"maths\"");

  std::unique_ptr<TokenArray> tokens = open_tokens(data, path, vocab);
  const WindowRange windows = windows_of(tokens->size(), sequence, serves_both, split, path);
  const auto shuffle = split == Split::kTrain ? std::optional(RandomKey{seed, kShuffleStream}) : std::nullopt;
  return std::make_unique<WindowSource>(std::move(tokens), windows, sequence, vocab, shuffle);
}

}  // namespace coe
