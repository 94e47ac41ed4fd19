#include "runtime/data/token_batch.h"

#include <algorithm>

namespace coe {

TokenBatch read_token_batch(const TokenSource& source, std::int64_t first, const Batch& batch, Arena& arena) {
  const TokenBatch tokens{arena.make<std::int32_t>({batch.tokens()}), arena.make<std::int32_t>({batch.tokens()})};
  ArenaScope scratch(arena);
  const auto sequence = arena.make<std::int32_t>({batch.length + 1}).span<std::int32_t>();
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    source.read(first + batch.first_sequence + b, sequence);
    std::copy_n(sequence.begin(), batch.length, tokens.ids.data<std::int32_t>() + b * batch.length);
    std::copy_n(sequence.begin() + 1, batch.length, tokens.labels.data<std::int32_t>() + b * batch.length);
  }
  return tokens;
}

}  // namespace coe
