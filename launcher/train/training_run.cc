#include "launcher/train/training_run.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "comm/launch.h"
#include "comm/make_transport.h"
#include "kernels/memory/error.h"
#include "launcher/report/comparison_table.h"
#include "launcher/report/loss_plot.h"
#include "launcher/report/run_summary.h"
#include "launcher/tell.h"
#include "launcher/train/capacity_note.h"
#include "launcher/train/memory_note.h"
#include "runtime/config/config_words.h"
#include "runtime/config/idle_keys.h"
#include "runtime/files/durable_file.h"
#include "runtime/layer/check_device.h"
#include "runtime/training/checkpoint_directory.h"
#include "runtime/training/run_facts.h"

namespace coe {

namespace {

std::string device_note(const TrainingConfig& training, std::string_view messages) {
  if (training.device == Device::Kind::kCpu) return "";
  return fmt::format(" on {} in {}{}{}", cuda_device_name(own_cuda_device().index),
                     kWords<Precision>[static_cast<std::size_t>(training.dtype)], messages.empty() ? "" : " by ",
                     messages);
}

}  // namespace

TrainingRun::TrainingRun(const Config& config, Transport& world, FlightRecorder& recorder, const TokenSource& train,
                         const TokenSource& valid, const StopSignals& signals, const RunFolder& folder, bool resume,
                         const std::optional<RecordingOptions>& recording, const std::optional<std::string>& trace)
    : config_(config),
      world_(world),
      recorder_(recorder),
      folder_(folder),
      directory_{config.output.directory},
      signals_(signals),
      trainer_(config, world, train, valid, &recorder),
      resume_(resume),
      resumed_(resume ? resumed_trainer() : std::nullopt) {
  trainer_.tell_with([this](const std::string& line) { say(line); });
  trainer_.stop_when([this] { return signals_.raised() != 0; });
  if (resumed_) saved_step_ = trainer_.steps_done();
  if (trace) tracing_.emplace(*trace, trainer_);
  if (!recording) return;
  recording_.emplace(*recording, config.model, trainer_.steps_done(), world.rank());
  trainer_.record_routing(recording_->counter());
}

std::optional<FoundCheckpoint> TrainingRun::resumed_trainer() {
  trainer_.tell_with([](const std::string& line) { coe::tell(line); });
  return trainer_.resume();
}

void TrainingRun::run() {
  try {
    train();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNonFinite) throw;
    const auto newest = newest_checkpoint(directory_.root);
    fail(ErrorCode::kNonFinite, error.what(), "; ",
         newest ? "the last good checkpoint is " + newest->string() : "there is no checkpoint yet");
  }
}

void TrainingRun::train() {
  if (speaks()) open_directory();
  begin();
  while (!stopped_ && trainer_.steps_done() < config_.training.steps) {
    stopped_ = agreed_to_stop();
    if (!stopped_) step();
  }
  finish();
}

void TrainingRun::say(const std::string& sentence) {
  if (progress_) progress_->say(sentence);
}

void TrainingRun::open_directory() {
  make_durable_directory(directory_.root);
  std::ofstream file(directory_.config());
  file << to_toml(config_) << std::flush;
  if (!file) fail(ErrorCode::kSystem, "train: ", directory_.config().string(), " cannot be written");
  metrics_.emplace(directory_.metrics(), resumed_ ? trainer_.steps_done() : -1);
  progress_.emplace(trainer_.steps_done(), config_.training.steps, stderr_is_terminal());
}

void TrainingRun::begin() {
  say(fmt::format("{}: {} parameters, {} rank{}{}, into {}", model_name(config_.model.layer), trainer_.parameters(),
                  world_.size(), world_.size() == 1 ? "" : "s",
                  device_note(config_.training, trainer_.device_messages()), directory_.root.string()));
  if (const std::string note = look_ahead_note(config_.model.layer); !note.empty()) say(note);
  if (const std::string idle = idle_keys(config_, world_.size()); !idle.empty())
    say("set, but without effect here: " + idle);
  if (!trainer_.device_messages().empty()) {
    if (const std::string note = padding_note(config_, world_.size()); !note.empty()) say(note);
  }
  say(memory_note(config_, world_.size()));
  tell_how_to_stop();
  if (resumed_) {
    for (const std::string& line : resumed_->damage) say(line);
    say(fmt::format("going on after step {}", trainer_.steps_done()));
    return tell_changes();
  }
  if (resume_) say("no checkpoint in " + directory_.root.string() + ": from the start");
  const std::optional<double> loss = validate();
  if (metrics_) metrics_->write({.step = 0, .validation_loss = loss});
  if (loss) say(fmt::format("step 0: validation loss {:.4f}{}", *loss, capacity_note(config_)));
}

/// Open MPI's mpirun gives its ranks a second after Ctrl-C or SIGTERM, which may be less than a step and a checkpoint.
void TrainingRun::tell_how_to_stop() {
  const bool gentle = std::getenv("COE_STOPS_GENTLY") != nullptr;
  if (gentle || std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr || !launched_by_mpi()) return;
  say("Ctrl-C and SIGTERM at mpirun leave a second for step and checkpoint; kill -USR1 to mpirun leaves all the time "
      "that they take, and launcher/mpirun.sh makes the one the other");
}

std::optional<double> TrainingRun::validate() {
  try {
    return trainer_.validate();
  } catch (const Stopped&) {
    stopped_ = true;
    return std::nullopt;
  }
}

void TrainingRun::tell_changes() {
  if (trainer_.steps_done() >= config_.training.steps)
    say(fmt::format("training.steps is {}: there is nothing left to do", config_.training.steps));
  const std::string changes = told_changes(resumed_->changes, config_.training);
  if (!changes.empty()) say("changed since that step: " + changes);
  if (moves_training_data(resumed_->changes)) say("other training data: it is gone through from its beginning");
}

bool TrainingRun::agreed_to_stop() {
  return agree_to_stop({&world_, config_.distributed.deadline(), &recorder_},
                       [this] { return signals_.raised() != 0; });
}

void TrainingRun::step() {
  StepReport report;
  if (tracing_) tracing_->begin_step();
  try {
    report = trainer_.step();
  } catch (const Stopped&) {
    stopped_ = true;
    return;
  }
  if (tracing_ && tracing_->end_step({&world_, config_.distributed.deadline(), &recorder_}))
    say("wrote " + tracing_->file().string() + ": ui.perfetto.dev shows it");
  const bool last = report.step == config_.training.steps;
  const auto due = [&](std::int64_t every) { return last || (every > 0 && report.step % every == 0); };
  std::optional<double> validation;
  if (due(config_.validation.every)) validation = validate();
  if (metrics_) metrics_->write(make_step_metrics(report, config_.model.layer, validation));
  tell(report);
  if (validation) {
    say(fmt::format("step {}: validation loss {:.4f}{}", report.step, *validation, capacity_note(config_)));
  }
  if (due(config_.output.checkpoint_every)) save();
}

void TrainingRun::tell(const StepReport& report) {
  if (report.replays > 0 && !std::exchange(replays_, true))
    say(fmt::format("step {}: a CUDA graph gives the GPU its work from now on", report.step));
  if (const std::string note = growth_note_.of(report); !note.empty()) say(note);
  if (report.skipped.empty()) {
    if (progress_) progress_->show(report);
  } else {
    say(fmt::format("step {} is skipped: {}", report.step, report.skipped));
  }
}

void TrainingRun::save() {
  if (saved_step_ == trainer_.steps_done()) return;
  folder_.require_held();
  trainer_.save();
  saved_step_ = trainer_.steps_done();
  if (recording_) recording_->write({&world_, config_.distributed.deadline()});
}

void TrainingRun::draw_picture() {
  try {
    if (!draw_losses(std::array{directory_.root}, directory_.picture()))
      say("gnuplot is missing, so there is no " + directory_.picture().string());
  } catch (const Error& error) {
    say(error.what());  // the run has succeeded all the same
  }
}

void TrainingRun::finish() {
  save();
  if (!speaks()) return;
  if (tracing_ && !tracing_->is_complete())
    say(fmt::format("--trace: {} is not written, which takes {} steps of one run", tracing_->file().string(),
                    StepTracing::kSkipped + StepTracing::kTraced));
  if (stopped_)
    say(fmt::format("a signal asked to stop: ended after step {} of {} with checkpoint {}; --resume goes on",
                    trainer_.steps_done(), config_.training.steps,
                    checkpoint_path(directory_.checkpoints(), *saved_step_).string()));
  draw_picture();
  if (print_out(comparison_table(summarise_runs(std::array{directory_.root})))) return;
  std::clearerr(stdout);  // the run has succeeded all the same
  say("the table of the run cannot be written to stdout; coe compare " + directory_.root.string() + " prints it");
}

}  // namespace coe
