#include "runtime/data/token_batch.h"

#include <algorithm>

namespace coe {

namespace {

/// Takes the labels out that do not count and adds to `documents` where the sequence falls apart; both begin at one of
/// its inputs, of which there are as many as labels. Returns how many documents it has.
std::int64_t apply_marks(std::span<const std::uint8_t> marks, std::span<std::int32_t> labels, std::int32_t* documents) {
  std::int64_t count = 0;
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= labels.size(); ++i) {
    if (marks[i] != 0) labels[i - 1] = -1;
    const bool ends = i == labels.size() || (marks[i] & kBegins) != 0;
    if (!ends) continue;
    documents[count++] = static_cast<std::int32_t>(i - begin);
    begin = i;
  }
  return count;
}

/// The same as read_token_batch, of a source that marks tokens.
TokenBatch read_marked_batch(const TokenSource& source, std::int64_t first, const Batch& batch, Arena& arena) {
  TokenBatch tokens;
  tokens.ids = arena.make<std::int32_t>({batch.tokens()});
  tokens.labels = arena.make<std::int32_t>({batch.tokens()});
  const auto documents = arena.make<std::int32_t>({batch.tokens()}).span<std::int32_t>();
  ArenaScope scratch(arena);
  const auto sequence = arena.make<std::int32_t>({batch.length + 1}).span<std::int32_t>();
  const auto marks = arena.make<std::uint8_t>({batch.length + 1}).span<std::uint8_t>();
  std::int64_t count = 0;
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    source.read(first + batch.first_sequence + b, sequence, marks);
    const Tensor labels = tokens.labels.rows(b * batch.length, batch.length);
    std::copy_n(sequence.begin(), batch.length, tokens.ids.data<std::int32_t>() + b * batch.length);
    std::copy_n(sequence.begin() + 1, batch.length, labels.data<std::int32_t>());
    count += apply_marks(marks, labels.span<std::int32_t>(), documents.data() + count);
  }
  tokens.documents = documents.first(static_cast<std::size_t>(count));
  const auto labels = tokens.labels.span<std::int32_t>();
  tokens.counted = std::ranges::count_if(labels, [](std::int32_t label) { return label >= 0; });
  return tokens;
}

}  // namespace

TokenBatch read_token_batch(const TokenSource& source, std::int64_t first, const Batch& batch, Arena& arena) {
  if (source.marked()) return read_marked_batch(source, first, batch, arena);
  const TokenBatch tokens{
      arena.make<std::int32_t>({batch.tokens()}), arena.make<std::int32_t>({batch.tokens()}), batch.tokens(), {}};
  ArenaScope scratch(arena);
  const auto sequence = arena.make<std::int32_t>({batch.length + 1}).span<std::int32_t>();
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    source.read(first + batch.first_sequence + b, sequence, {});
    std::copy_n(sequence.begin(), batch.length, tokens.ids.data<std::int32_t>() + b * batch.length);
    std::copy_n(sequence.begin() + 1, batch.length, tokens.labels.data<std::int32_t>() + b * batch.length);
  }
  return tokens;
}

}  // namespace coe
