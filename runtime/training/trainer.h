#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/flight_recorder.h"
#include "comm/transport.h"
#include "runtime/config/config.h"
#include "runtime/data/token_source.h"
#include "runtime/layer/step_trace.h"
#include "runtime/ranks/placement.h"
#include "runtime/ranks/stop.h"
#include "runtime/routing/routing_record.h"
#include "runtime/training/checkpoint.h"
#include "runtime/training/step_report.h"

namespace coe {

/// Trains one model over all ranks of `world`: data, forward, backward, reduction, clipping, AdamW. Every method but
/// the plain getters is collective.
class Trainer {
 public:
  /// Builds the model and draws its weights (the same at any number of ranks). The transport and the sources are
  /// viewed, not owned, and so is the recorder of what goes on between the ranks, if there is one. `placements` of each
  /// layer's experts as in ModelUse. Throws kBadInput where the configuration does not fit the number of ranks.
  Trainer(const Config& config, Transport& world, const TokenSource& train, const TokenSource& valid,
          FlightRecorder* recorder = nullptr, const std::vector<Placement>& placements = {});
  ~Trainer();

  /// One optimiser step. Where a loss or the gradient norm is not finite, it names the first place that is not, and
  /// throws kNonFinite, on every rank alike and before any weight changes; or, where the configuration says so and the
  /// weights are finite, skips the step, which then counts but changes no weight, moment or router.
  StepReport step();
  /// Mean cross-entropy over the first validation.sequences sequences of the validation source, nats per token.
  double validate();

  /// Counts the routing of every step from now on, but not of validation, in `counter`, which is viewed.
  void record_routing(RoutingCounter& counter);

  /// What this rank's steps do from now on is put into `trace` as well, which is viewed; nullptr ends it.
  void trace_steps(StepTrace* trace);

  /// From now on `asked` is looked at before every micro-batch of a step or a validation; where it is true on any rank,
  /// step() and validate() throw Stopped on every rank, and nothing has changed since the last whole step. A step
  /// whose routing is counted is finished first.
  void stop_when(StopAsked asked);

  /// From now on rank 0 says by `say` what a user should know of work on the disk: that it takes long, that an old
  /// checkpoint cannot be removed.
  void tell_with(std::function<void(const std::string& line)> say);

  /// Steps done so far.
  std::int64_t steps_done() const;
  /// Weights of the whole model, every expert counted once.
  std::int64_t parameters() const;
  /// By what messages between ranks' GPUs go; empty where none do.
  std::string_view device_messages() const;

  /// Writes output.directory/checkpoints/step_N; returns its path. Throws kNonFinite where a weight is not finite.
  std::filesystem::path save();
  /// Goes on from the newest checkpoint of output.directory that is whole, and sets damaged ones aside; nothing where
  /// there is none. Its `changes` then are those of the whole run. Other training data, or other windows of it, are
  /// gone through from their beginning. Throws what load_checkpoint throws.
  std::optional<FoundCheckpoint> resume();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace coe
