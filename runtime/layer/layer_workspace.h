#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/ranks/row_tables.h"

namespace coe {

/// What chain layers of one config share, one layer after another.
struct LayerWorkspace {
  std::vector<std::unique_ptr<RowTables>> group;     ///< of the expert-parallel group, for each chunk
  std::vector<std::unique_ptr<RowTables>> replicas;  ///< of the replicas, for each chunk; empty where there is one
  std::unique_ptr<RowTables> own;  ///< of this rank alone, which places are shared out by where they are of rank scope
  /// Of each chunk, where there are several: layers take from it and give back as from a step's, so that what a forward
  /// saved is on top until its backward.
  std::vector<Arena> arenas;

  int chunks() const { return static_cast<int>(group.size()); }
};

/// Of so many chunks. `tokens`, the most of any rank, bound what a rank's choices need room for where the host
/// cannot count them. Views the stream. Collective.
LayerWorkspace make_layer_workspace(const LayerConfig& config, const RankGroups& groups, std::int64_t tokens = 0,
                                    const Stream& stream = host_stream(), int chunks = 1);

}  // namespace coe
