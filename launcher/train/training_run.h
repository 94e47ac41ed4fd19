#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "comm/flight_recorder.h"
#include "comm/transport.h"
#include "launcher/train/growth_note.h"
#include "launcher/train/progress.h"
#include "launcher/train/routing_recording.h"
#include "launcher/train/run_folder.h"
#include "launcher/train/step_tracing.h"
#include "launcher/train/stop_signals.h"
#include "runtime/config/config.h"
#include "runtime/data/token_source.h"
#include "runtime/training/metrics.h"
#include "runtime/training/trainer.h"

namespace coe {

/// One training run from its first step, or its newest checkpoint, to its last step or a signal. Rank 0 writes the
/// run's folder and tells how it goes. All methods are collective.
class TrainingRun {
 public:
  /// Views everything but the Config's values. `recording` asks for a routing record, written with every checkpoint,
  /// `trace` names the file of a StepTracing.
  TrainingRun(const Config& config, Transport& world, FlightRecorder& recorder, const TokenSource& train,
              const TokenSource& valid, const StopSignals& signals, const RunFolder& folder, bool resume,
              const std::optional<RecordingOptions>& recording, const std::optional<std::string>& trace);
  /// Throws what Trainer throws; for kNonFinite with the last good checkpoint.
  void run();

 private:
  bool speaks() const { return world_.rank() == 0; }
  void say(const std::string& sentence);
  std::optional<FoundCheckpoint> resumed_trainer();
  void open_directory();
  void begin();
  void tell_how_to_stop();
  /// What differs from the run that the checkpoint is of.
  void tell_changes();
  /// Whether any rank was asked to stop.
  bool agreed_to_stop();
  void train();
  void step();
  /// Nothing where a signal ended it.
  std::optional<double> validate();
  void tell(const StepReport& report);
  void save();
  void draw_picture();
  void finish();

  const Config& config_;
  Transport& world_;
  FlightRecorder& recorder_;
  const RunFolder& folder_;
  RunDirectory directory_;
  const StopSignals& signals_;
  bool stopped_ = false;
  Trainer trainer_;
  bool resume_;
  std::optional<FoundCheckpoint> resumed_;
  GrowthNote growth_note_;
  bool replays_ = false;  ///< it was told
  std::optional<std::int64_t> saved_step_;
  std::optional<RoutingRecording> recording_;
  std::optional<StepTracing> tracing_;
  std::optional<MetricsWriter> metrics_;  ///< rank 0's
  std::optional<Progress> progress_;      ///< rank 0's
};

}  // namespace coe
