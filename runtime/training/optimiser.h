#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "runtime/config/config.h"
#include "runtime/layer/step_trace.h"
#include "runtime/model/model.h"
#include "runtime/model/parameters.h"
#include "runtime/ranks/piece_collectives.h"
#include "runtime/ranks/rank_groups.h"

namespace coe {

/// The learning rate of optimiser step `step` (from 1): linear warm-up, then constant or cosine to final_learning_rate.
double learning_rate_at(const TrainingConfig& config, std::int64_t step);
/// What the schedule has left of the peak after the warm-up, from 1 to 0; 1 during it. Router biases, which are moved
/// by fixed steps, come to rest with the weights by it.
double annealed(const TrainingConfig& config, std::int64_t step);

/// AdamW over this rank's weights with what must be agreed between ranks. Gradients of weights that several ranks hold
/// are summed piece by piece, each on one rank, and then given to all; or, where the state is in pieces, a rank updates
/// its pieces and it is the weights that are given to all: the same numbers travel, and all have the same bits. Views
/// groups, parameters and their stream.
class Optimiser {
 public:
  /// Throws kInternal unless the parameters are shared as the groups are.
  Optimiser(const TrainingConfig& config, const RankGroups& groups, Parameters& parameters,
            const Stream& stream = host_stream());
  Optimiser(const Optimiser&) = delete;
  Optimiser& operator=(const Optimiser&) = delete;

  /// Begins to add up the gradients that are final, while a backward goes on to make the others so. Collective.
  void begin_reduction(const FinalFrom& from);
  /// Adds up gradients over ranks: replicated ones over the world, expert ones over the replicas; those that
  /// begin_reduction() has not begun, too. Where the state is in pieces only this rank's pieces of them mean something
  /// then. Collective.
  void reduce_gradients();
  /// The norm of the whole model's reduced gradient, each weight counted once; the same bits on every rank, and whether
  /// the state is in pieces or not. Collective.
  double gradient_norm();
  /// What sums of gradients go on beside the step's other work is put into `trace`, which is viewed, where hosts add
  /// them up; nullptr ends it.
  void trace(StepTrace* trace) { trace_ = trace; }
  /// One step on the reduced gradients, clipped to config.clip by `gradient_norm`. Collective.
  void update(std::int64_t step, double gradient_norm);

 private:
  /// What AdamW goes over at once.
  struct Run {
    Tensor gradient, value, first_moment, second_moment, rounded;
    Tensor offsets, decayed;  ///< int64 [tensors + 1], uint8 [tensors], where the weights are
  };
  /// Weights that the same ranks hold.
  struct Kind {
    Kind(const FlatParameters& flat, const Group& group, const Stream& stream, const Phase& adding, const Phase& giving)
        : weights(&flat), ranks(group, flat.deal.longest(), stream), reduction(adding), gathering(giving) {}
    const FlatParameters* weights;
    PieceCollectives ranks;
    Phase reduction, gathering;
    std::vector<Run> runs = {};
    std::int64_t left = 0;  ///< stretches whose gradients are not begun to be added up, the first ones
  };
  void add_kind(const FlatParameters& weights, const Group& group, const Phase& reduction, const Phase& gathering);
  static void begin_reduction(Kind& kind, std::int64_t from);
  std::vector<Run> runs_of(const FlatParameters& weights);
  /// That of `share` of the weights; `kept` is where its state lies in what is in pieces.
  Run run_of(const FlatParameters& weights, const Share& share, const Share& kept);
  void gather_weights(Kind& kind);

  TrainingConfig config_;
  const RankGroups* groups_;
  const Stream* stream_;
  Arena memory_, scratch_;
  std::list<Kind> kinds_;  ///< replicated, then expert ones
  StepTrace* trace_ = nullptr;
};

}  // namespace coe
