#pragma once

#include <cstdint>
#include <vector>

#include "runtime/config/config.h"

namespace coe {

/// What a training run has besides its weights. Random numbers are counted from seed and step, so they need no state.
struct TrainingState {
  std::int64_t step = 0;           ///< optimiser steps done
  std::int64_t next_sequence = 0;  ///< of the training source
  double l1_coeff = 0;             ///< ReMoE's lambda for the next step
  std::uint64_t seed = 0;
  std::vector<ConfigEntry> run{};  ///< run_facts() but the model's, and "ranks"; empty where an old checkpoint had none

  bool operator==(const TrainingState&) const = default;
};

}  // namespace coe
