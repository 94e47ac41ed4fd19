#include "runtime/layer/layer_tables.h"

namespace coe {

LayerTables make_layer_tables(const LayerConfig& config, const RankGroups& groups, std::int64_t tokens,
                              const Stream& stream, int chunks) {
  const std::int64_t each = config.router == RouterKind::kRelu ? config.experts : config.top_k;
  const TablesRoom room{.experts = config.experts,
                        .scores = config.drop_policy == DropPolicy::kProbability ? tokens * each : 0};
  LayerTables tables;
  for (int c = 0; c < chunks; ++c) tables.group.push_back(make_row_tables(groups.experts(), room, stream));
  tables.own = make_row_tables(groups.alone(), room, stream);
  return tables;
}

}  // namespace coe
