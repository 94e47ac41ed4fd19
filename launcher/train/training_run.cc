#include "launcher/train/training_run.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <array>
#include <fstream>

#include "comm/collectives.h"
#include "kernels/memory/error.h"
#include "launcher/report/loss_plot.h"
#include "launcher/report/run_summary.h"
#include "launcher/train/capacity_note.h"
#include "runtime/files/durable_file.h"
#include "runtime/training/checkpoint_directory.h"

namespace coe {

TrainingRun::TrainingRun(const Config& config, Transport& world, FlightRecorder& recorder, const TokenSource& train,
                         const TokenSource& valid, bool resume, const std::optional<RecordingOptions>& recording)
    : config_(config),
      world_(world),
      recorder_(recorder),
      directory_{config.output.directory},
      trainer_(config, world, train, valid, &recorder),
      resumed_(resume ? trainer_.resume() : std::nullopt) {
  if (resumed_) saved_step_ = trainer_.steps_done();
  if (!recording) return;
  recording_.emplace(*recording, config.model, trainer_.steps_done(), world.rank());
  trainer_.record_routing(recording_->counter());
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
  bool stopped = false;
  while (trainer_.steps_done() < config_.training.steps && !stopped) {
    stopped = agreed_to_stop();
    if (!stopped) step();
  }
  finish(stopped);
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
  say(fmt::format("{}: {} parameters, {} rank{}, into {}", model_name(config_.model.layer), trainer_.parameters(),
                  world_.size(), world_.size() == 1 ? "" : "s", directory_.root.string()));
  if (const std::string note = look_ahead_note(config_.model.layer); !note.empty()) say(note);
  if (resumed_) {
    for (const std::string& line : resumed_->damage) say(line);
    return say(fmt::format("going on after step {}", trainer_.steps_done()));
  }
  const double loss = trainer_.validate();
  if (metrics_) metrics_->write({.step = 0, .validation_loss = loss});
  say(fmt::format("step 0: validation loss {:.4f}{}", loss, capacity_note(config_)));
}

bool TrainingRun::agreed_to_stop() {
  std::array<std::int32_t, 1> asked{signals_.raised() != 0 ? 1 : 0};
  if (world_.size() > 1)
    all_reduce_sum<std::int32_t>({&world_, config_.distributed.deadline(), &recorder_}, asked,
                                 {.name = "agreeing to stop"});
  return asked[0] > 0;
}

void TrainingRun::step() {
  const StepReport report = trainer_.step();
  const bool last = report.step == config_.training.steps;
  const auto due = [&](std::int64_t every) { return last || (every > 0 && report.step % every == 0); };
  std::optional<double> validation;
  if (due(config_.validation.every)) validation = trainer_.validate();
  if (metrics_) metrics_->write(make_step_metrics(report, validation));
  tell(report);
  if (validation) {
    say(fmt::format("step {}: validation loss {:.4f}{}", report.step, *validation, capacity_note(config_)));
  }
  if (due(config_.output.checkpoint_every)) save();
}

void TrainingRun::tell(const StepReport& report) {
  if (report.buffer_growths > 0) {
    say(fmt::format("step {}: buffers were too small {} times and have grown", report.step, report.buffer_growths));
  }
  if (report.skipped.empty()) {
    if (progress_) progress_->show(report);
  } else {
    say(fmt::format("step {} is skipped: {}", report.step, report.skipped));
  }
}

void TrainingRun::save() {
  if (saved_step_ == trainer_.steps_done()) return;
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

void TrainingRun::finish(bool stopped) {
  save();
  if (!speaks()) return;
  if (stopped)
    say(fmt::format("a signal asked to stop: ended after step {} of {} with checkpoint {}; --resume goes on",
                    trainer_.steps_done(), config_.training.steps,
                    checkpoint_path(directory_.checkpoints(), *saved_step_).string()));
  draw_picture();
  const std::array summary{summarise_run(directory_.root)};
  fmt::print("{}", comparison_table(summary));
}

}  // namespace coe
