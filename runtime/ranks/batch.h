#pragma once

#include <cstdint>
#include <span>

#include "runtime/ranks/rank_groups.h"

namespace coe {

/// What one rank has of a micro-batch, and what it must know of the rest. All sequences have one length.
struct Batch {
  std::int64_t first_sequence = 0;   ///< of this rank, counted over the micro-batch
  std::int64_t sequences = 0;        ///< on this rank; may be 0
  std::int64_t length = 0;           ///< tokens of a sequence
  std::int64_t group_sequences = 0;  ///< over the expert-parallel group: the T of capacity; of a chunk, the most
  std::int64_t world_sequences = 0;  ///< over all ranks: the T and B of the balance losses
  /// Lengths of the documents on this rank, in order, none across two sequences: attention and positions begin anew at
  /// each. Views what somebody else owns; empty: every sequence is one.
  std::span<const std::int32_t> documents = {};
  double share = 1.0;  ///< of this micro-batch in the optimiser step's tokens; weighs the balance losses

  /// Of any rank in a group of so many, among which they are dealt out evenly.
  std::int64_t most_sequences(int ranks) const { return (group_sequences + ranks - 1) / ranks; }
  std::int64_t most_tokens(int ranks) const { return most_sequences(ranks) * length; }
  std::int64_t tokens() const { return sequences * length; }
  std::int64_t group_tokens() const { return group_sequences * length; }
  std::int64_t world_tokens() const { return world_sequences * length; }
};

/// Deals `sequences` out to all ranks in contiguous runs, as evenly as possible: this rank's part.
Batch deal_batch(std::int64_t sequences, std::int64_t length, const RankGroups& groups);

/// Chunk `index` of so many of a rank's sequences, as evenly as possible, in a group of `ranks`.
Batch chunk_of(const Batch& batch, std::int64_t index, std::int64_t chunks, int ranks);

}  // namespace coe
