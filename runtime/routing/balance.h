#pragma once

#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/ranks/batch.h"
#include "runtime/routing/router.h"
#include "runtime/routing/routing_context.h"

namespace coe {

/// True where balance losses need the counts of all ranks of the world.
bool needs_world_counts(const LayerConfig& config);

/// Sequence or batch balance loss and z-loss of a top-k router, or the L1 loss of a ReLU router weighed by the
/// context's l1_coeff (Switch, arXiv 2101.03961, section 2.2; DeepSeek-V2, arXiv 2405.04434, section 2.2; ReMoE, arXiv
/// 2412.14711), times batch.share. `world_counts` [N], as RowTable::totals() gives them, are the choices of the
/// micro-batch over all ranks; only read where needs_world_counts(). This rank's part is added to loss fp64 [1]; the
/// parts of all ranks add up. Gradients live in the arena.
BalanceGradient add_balance_loss(const LayerConfig& config, const RoutingContext& context, const Routed& routed,
                                 const Tensor& world_counts, const Batch& batch, const Tensor& loss, Arena& arena,
                                 const Stream& stream);

}  // namespace coe
