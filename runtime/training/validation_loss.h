#pragma once

#include <cstdint>
#include <functional>

#include "kernels/memory/arena.h"
#include "runtime/data/token_source.h"
#include "runtime/model/model.h"

namespace coe {

/// Mean cross-entropy, nats per label that counts, over the first `sequences` sequences of `source` (all of a
/// shorter one), of which `micro_batch` are taken at once over all ranks. Resets the arena, of the model's device.
/// Calls `between` before each micro-batch, where it is given; what that throws ends it. Collective over the world;
/// throws kBadInput on every rank where no label counts.
double validation_loss(Model& model, const RankGroups& groups, const TokenSource& source, std::int64_t sequences,
                       std::int64_t micro_batch, Arena& arena, const std::function<void()>& between = {});

}  // namespace coe
