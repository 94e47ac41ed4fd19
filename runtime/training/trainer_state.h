#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "comm/flight_recorder.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "runtime/data/token_batch.h"
#include "runtime/model/host_weights.h"
#include "runtime/model/model.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/ranks/stop.h"
#include "runtime/training/optimiser.h"
#include "runtime/training/trainer.h"

namespace coe {

/// What a Trainer has, and the parts of its step.
struct Trainer::State {
  State(const Config& wanted, Transport& world, const TokenSource& train_source, const TokenSource& valid_source,
        FlightRecorder* flight_recorder, const std::vector<Placement>& placements);

  /// Calls visit(tokens, batch, routing, first sequence) for every micro-batch of the step that comes next.
  template <class Visit>
  void for_each_micro_batch(const Visit& visit);
  /// Forward and backward of the step's micro-batches, each label weighed as one of `counted`. Gradients of the last
  /// are told of as they become final.
  LossPart accumulate(std::int64_t counted, const GradientsFinal& final = {});
  /// Begins to add up gradients over ranks, beside the backward.
  void begin_reduction(const FinalFrom& from);
  /// Labels of the step that comes next on which a loss is taken, over all ranks. Collective.
  std::int64_t count_labels();
  void learn(StepReport& report);
  StepReport begin_report() const;
  void reduce(const LossPart& loss, StepReport& report);
  /// Forward, backward and sums of the whole step.
  void learn_once(StepReport& report);
  void update(StepReport& report);
  /// Names the first place of the step with a number that is not finite; throws where that is a weight.
  std::string first_non_finite(const StepReport& report);
  /// Throws kNonFinite, on every rank alike, after `where`.
  void expect_finite_weights(const std::string& where);
  void sum_loss(const LossPart& loss, StepReport& report);
  void report_times(StepReport& report);
  void report_routing(StepReport& report);
  /// Load-balancing feedback of a whole step: ReMoE's lambda and the routers' biases.
  void adapt_routing(const StepReport& report);
  CheckpointPlace checkpoint_place() const {
    return {config.output.directory / "checkpoints",
            config.output.checkpoints_kept,
            {config.distributed.disk_deadline(), say}};
  }

  Config config;
  Stream stream;
  StopAsked stop_asked;
  std::function<void(const std::string&)> say;
  FlightRecorder* recorder;
  RankGroups groups;
  Model model;
  HostWeights host_weights;
  Optimiser optimiser;
  const TokenSource* train;
  const TokenSource* valid;
  Arena tokens_arena, arena;  ///< of the host, of the model's device
  TrainingState progress;
  RoutingCounter* routing_counter = nullptr;
  int growths_reported = 0;
};

}  // namespace coe
