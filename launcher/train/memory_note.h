#pragma once

#include <cstdint>
#include <string>

#include "runtime/config/config.h"

namespace coe {

/// About how much memory a rank's weights take with what trains them, and its activations, and how much it would be by
/// the other settings of training.shard_optimiser and training.recompute.
std::string memory_note(const Config& config, std::int64_t ranks);

}  // namespace coe
