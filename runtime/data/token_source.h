#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "runtime/config/config.h"
#include "runtime/data/token_array.h"

namespace coe {

enum class Split { kTrain, kValidation };

/// Sequences of tokens by number: sequence i is always the same, whoever asks, so a data position is one number.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  /// Fills `tokens` (S + 1 of them: inputs are the first S, labels the last S) with sequence `index` >= 0, and `marks`,
  /// as many or none, with their TokenMarks. A finite source goes through all its sequences once an epoch.
  /// Thread-safe. Throws kBadInput where a file turns out to hold something else than tokens.
  virtual void read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const = 0;
  /// Whether any token may have a mark.
  virtual bool marked() const = 0;
  /// How many different sequences there are; -1: endless.
  virtual std::int64_t sequences() const = 0;
  /// Every token is below this.
  virtual std::int64_t vocab() const = 0;
};

/// A Corpus's source of `split`, complete, for one process alone. Throws what Corpus throws.
std::unique_ptr<TokenSource> make_token_source(const DataConfig& data, Split split, std::int64_t sequence,
                                               std::int64_t vocab, std::uint64_t seed);

}  // namespace coe
