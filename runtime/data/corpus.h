#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "comm/group.h"
#include "runtime/config/config.h"
#include "runtime/data/token_array.h"
#include "runtime/data/token_source.h"
#include "runtime/ranks/stop.h"

namespace coe {

/// What a run reads, split by split: built-in maths problems where no path is given, otherwise a file of text, JSONL or
/// tokens. Where only a training file is given, its last twentieth (at least one sequence) is held out for validation.
/// Training goes through a file shuffled by the seed, validation in the file's order.
class Corpus {
 public:
  /// Opens nothing yet. Throws kBadInput for a `sequence` below 1.
  Corpus(const DataConfig& data, std::int64_t sequence, std::int64_t vocab, std::uint64_t seed);

  /// Opens the file of `split` and looks through its first kLookedThrough bytes, before there are ranks. Throws
  /// kBadInput for a file that cannot be read, is empty, is shorter than one sequence and a label (two where one is
  /// held out), is not what its format says (file:line), holds a token >= vocab, or does not tell fields or documents
  /// apart where that is asked for.
  void open(Split split);
  /// Goes through what must be known of large files before they can be read, together with all ranks of the group.
  /// Collective; throws as open() does, on every rank alike, and Stopped soon after `asked` is true on any.
  void complete(const Group& group, const StopAsked& asked = {});
  /// The sequences of `split`, which has been opened and completed; lives on its own.
  std::unique_ptr<TokenSource> source(Split split) const;

  /// What `split` is, for a person: "train.txt", "the last twentieth of train.txt", "the built-in maths problems".
  std::string description(Split split) const;

 private:
  struct OpenFile {
    std::filesystem::path path;
    std::shared_ptr<TokenArray> tokens;
  };

  bool serves_both() const { return data_.valid.empty() && !data_.train.empty(); }
  const std::filesystem::path& path_of(Split split) const;
  /// Which of `files_` holds the split.
  std::size_t place_of(Split split) const { return split == Split::kTrain || serves_both() ? 0 : 1; }
  /// Whether fields and documents can be told apart in it as they are asked for.
  void check_parts(const std::filesystem::path& path) const;
  void check_length(const OpenFile& file) const;

  DataConfig data_;
  std::int64_t sequence_, vocab_;
  std::uint64_t seed_;
  std::array<OpenFile, 2> files_;
};

}  // namespace coe
