#pragma once

#include "runtime/routing/admission.h"

namespace coe {

/// What a layer's admission makes of one rank's routing; `counts` [R, N] follow.
inline Routing admitted(const LayerConfig& config, std::int64_t tokens, const Routed& routed, const Tensor& counts,
                        const Group& group, Arena& arena) {
  if (config.drop_policy == DropPolicy::kNone) return routed.routing;
  const std::unique_ptr<Router> router = make_router(config);
  const std::unique_ptr<RowTables> tables = make_row_tables(group, {.experts = config.experts});
  Admission admission(config, *router, *tables, group);
  FrameArena frames;
  Routed after = routed;
  Tensor table = counts;
  const Tensor no_bias;
  run(admission.admit({config, tokens, no_bias, {"admission"}, arena}, after, table, frames));
  return after.routing;
}

}  // namespace coe
