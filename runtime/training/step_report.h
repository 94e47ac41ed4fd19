#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/layer/part_times.h"

namespace coe {

/// How one iteration of one layer was loaded in one step, over all ranks and micro-batches.
struct RoutingReport {
  int layer = 0, iteration = 0;
  std::vector<std::int64_t> load;  ///< [N] choices per expert, before any is dropped
  std::int64_t tokens = 0;
  std::int64_t dropped = 0;          ///< choices that found no place under capacity
  std::int64_t rerouted = 0;         ///< choices that found it at another expert
  std::int64_t bytes_exchanged = 0;  ///< sent to other ranks, forward and backward, over all ranks

  double load_max_over_mean() const;  ///< 0 where nothing was chosen
  int idle_experts() const;
  double sparsity() const;  ///< share of (token, expert) pairs that were not chosen
};

/// What one optimiser step did; the same on every rank.
struct StepReport {
  std::int64_t step = 0;     ///< counts from 1
  std::string skipped;       ///< why nothing was updated in this step; empty where all went well
  double loss = 0;           ///< mean cross-entropy over the batch's labels that count, nats, before the update
  double balance_loss = 0;   ///< balance, z and L1 losses of all layers and iterations
  double gradient_norm = 0;  ///< global, before clipping
  double learning_rate = 0;
  double l1_coeff = 0;       ///< ReMoE's lambda in this step
  std::int64_t replays = 0;  ///< micro-batches that CUDA graphs have given until now
  double seconds = 0;
  std::int64_t tokens = 0;
  std::int64_t counted = 0;          ///< labels on which the loss is taken, over all ranks
  std::int64_t bytes_exchanged = 0;  ///< by dispatch and combine, over all ranks
  std::int64_t buffer_growths = 0;   ///< how often memory was too small, over all ranks, since the last report
  PartTimes times;                   ///< mean over ranks
  std::vector<RoutingReport> routing;

  double tokens_per_second() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};

}  // namespace coe
