#include "runtime/ranks/batch.h"

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

}  // namespace coe
