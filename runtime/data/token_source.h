#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "runtime/config/config.h"

namespace coe {

enum class Split { kTrain, kValidation };

/// Sequences of tokens by number: sequence i is always the same, whoever asks, so a data position is one number.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  /// Fills `tokens` (S + 1 of them: inputs are the first S, labels the last S) with sequence `index` >= 0. A finite
  /// source goes through all its sequences once an epoch.
  /// Thread-safe.
  virtual void read(std::int64_t index, std::span<std::int32_t> tokens) const = 0;
  /// How many different sequences there are; -1: endless.
  virtual std::int64_t sequences() const = 0;
  /// Every token is below this.
  virtual std::int64_t vocab() const = 0;
};

/// Opens what `data` names for `split`: built-in maths problems where no path is given, otherwise a file of text, JSONL
/// or uint16 tokens. Where only a training file is given, its last twentieth (at least one sequence) is held out for
/// validation. Training goes through a file shuffled by `seed`, validation in the file's order. Throws kBadInput for a
/// file that cannot be read, is empty, is shorter than one sequence of `sequence` + 1 tokens (two where one is held
/// out), is not what its format says (file:line), or holds a token >= `vocab`.
std::unique_ptr<TokenSource> make_token_source(const DataConfig& data, Split split, std::int64_t sequence,
                                               std::int64_t vocab, std::uint64_t seed);

}  // namespace coe
