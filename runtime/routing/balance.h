#pragma once

#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/ranks/batch.h"
#include "runtime/routing/router.h"

namespace coe {

/// One (layer, iteration)'s balance, z and L1 losses.
struct Balance {
  double loss = 0;  ///< this rank's part; the parts of all ranks add up to the loss
  BalanceGradient gradient;
};

/// True where balance_loss() needs the counts of all ranks of the world.
bool needs_world_counts(const LayerConfig& config);

/// Sequence or batch balance loss and z-loss of a top-k router, or the L1 loss of a ReLU router weighed by `l1_coeff`
/// (Switch, arXiv 2101.03961, section 2.2; DeepSeek-V2, arXiv 2405.04434, section 2.2; ReMoE, arXiv 2412.14711), times
/// batch.share. `world_counts` [N] are the choices of the micro-batch over all ranks; only read where
/// needs_world_counts(). Gradients live in the arena.
Balance balance_loss(const LayerConfig& config, double l1_coeff, const Routed& routed,
                     std::span<const std::int64_t> world_counts, const Batch& batch, Arena& arena);

}  // namespace coe
