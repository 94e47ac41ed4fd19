#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "runtime/config/config.h"
#include "runtime/model/parameters.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/ranks/stream_reduction.h"

namespace coe {

/// The learning rate of optimiser step `step` (from 1): linear warm-up, then constant or cosine to final_learning_rate.
double learning_rate_at(const TrainingConfig& config, std::int64_t step);
/// What the schedule has left of the peak after the warm-up, from 1 to 0; 1 during it. Router biases, which are moved
/// by fixed steps, come to rest with the weights by it.
double annealed(const TrainingConfig& config, std::int64_t step);

/// AdamW over this rank's weights with what must be agreed between ranks. Views groups, parameters and their stream.
class Optimiser {
 public:
  Optimiser(const TrainingConfig& config, const RankGroups& groups, Parameters& parameters,
            const Stream& stream = host_stream());

  /// Adds up gradients over ranks: replicated ones over the world, expert ones over the replicas. Collective.
  void reduce_gradients();
  /// The norm of the whole model's gradient, each sharded expert counted once; the same bits on every rank. Collective.
  double gradient_norm();
  /// One step on the reduced gradients, clipped to config.clip by `gradient_norm`.
  void update(std::int64_t step, double gradient_norm);

 private:
  /// What one step goes over at once.
  struct Whole {
    const FlatParameters* weights;
    Tensor offsets, decayed;  ///< int64 [tensors + 1], uint8 [tensors], where the weights are
  };
  Whole whole(const FlatParameters& weights);
  using Reduction = std::optional<StreamReduction>;  ///< made where it is needed
  void add_up(const Group& group, const Tensor& gradients, Reduction& reduction, const Phase& phase);

  TrainingConfig config_;
  const RankGroups* groups_;
  const Stream* stream_;
  Arena memory_, scratch_;
  Reduction world_reduction_, replicas_reduction_;  ///< of gradients on devices that see one another's memory
  std::vector<Whole> wholes_;                       ///< replicated, then expert ones
};

}  // namespace coe
