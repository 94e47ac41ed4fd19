#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/config/config.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/ranks/row_tables.h"

namespace coe {

/// The tables that chain layers of one config share, one layer after another.
struct LayerTables {
  std::vector<std::unique_ptr<RowTables>> group;  ///< of the expert-parallel group, for each chunk
  std::unique_ptr<RowTables> own;  ///< of this rank alone, which places are shared out by where they are of rank scope
};

/// `tokens` of all ranks of the group bound what a rank's choices need room for where the host cannot count them. Views
/// the stream. Collective.
LayerTables make_layer_tables(const LayerConfig& config, const RankGroups& groups, std::int64_t tokens = 0,
                              const Stream& stream = host_stream(), int chunks = 1);

}  // namespace coe
