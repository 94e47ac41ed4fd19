#include "runtime/ranks/batch.h"

#include <algorithm>

#include "runtime/ranks/share.h"

namespace coe {

Batch deal_batch(std::int64_t sequences, std::int64_t length, const RankGroups& groups) {
  const Group world = groups.world(), experts = groups.experts();
  const Share mine = share_of(sequences, world.size(), world.rank());
  const int first_of_group = world.rank() - experts.rank();
  const Share first = share_of(sequences, world.size(), first_of_group);
  const Share last = share_of(sequences, world.size(), first_of_group + experts.size() - 1);
  return {.first_sequence = mine.first,
          .sequences = mine.count,
          .length = length,
          .group_sequences = last.first + last.count - first.first,
          .world_sequences = sequences};
}

Batch chunk_of(const Batch& batch, std::int64_t index, std::int64_t chunks, int ranks) {
  const Share mine = share_of(batch.sequences, chunks, index);
  const std::int64_t most = (batch.most_sequences(ranks) + chunks - 1) / chunks;
  Batch chunk = batch;
  chunk.first_sequence += mine.first;
  chunk.sequences = mine.count;
  chunk.group_sequences = std::min(batch.group_sequences, ranks * most);
  return chunk;
}

}  // namespace coe
