#include "runtime/layer/layer_workspace.h"

namespace coe {

LayerWorkspace make_layer_workspace(const LayerConfig& config, const RankGroups& groups, std::int64_t tokens,
                                    const Stream& stream, int chunks) {
  const std::int64_t each = config.router == RouterKind::kRelu ? config.experts : config.top_k;
  const TablesRoom room{.experts = config.experts,
                        .scores = config.drop_policy == DropPolicy::kProbability ? tokens * each : 0};
  LayerWorkspace workspace;
  for (int c = 0; c < chunks; ++c) workspace.group.push_back(make_row_tables(groups.experts(), room, stream));
  for (int c = 0; groups.replicas().size() > 1 && c < chunks; ++c) {
    workspace.replicas.push_back(make_row_tables(groups.replicas(), {.experts = config.experts}, stream));
  }
  workspace.own = make_row_tables(groups.alone(), room, stream);
  for (int c = 0; chunks > 1 && c < chunks; ++c) workspace.arenas.emplace_back(0, stream.device());
  return workspace;
}

}  // namespace coe
