#include "runtime/training/trainer.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "comm/device_messages.h"
#include "runtime/model/model_parameters.h"
#include "runtime/training/checkpoint.h"
#include "runtime/training/resume.h"
#include "runtime/training/trainer_state.h"
#include "runtime/training/validation_loss.h"

namespace coe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

Trainer::Trainer(const Config& config, Transport& world, const TokenSource& train, const TokenSource& valid,
                 FlightRecorder* recorder, const std::vector<Placement>& placements)
    : state_(std::make_unique<State>(config, world, train, valid, recorder, placements)) {
  initialise(config.model, config.training.seed, state_->host_weights.memory());
  state_->host_weights.write();
}

Trainer::~Trainer() = default;

StepReport Trainer::step() {
  State& state = *state_;
  const Clock::time_point start = Clock::now();
  StepReport report = state.begin_report();
  if (state.recorder != nullptr) state.recorder->set_step(report.step);
  state.model.clear_times();
  report.counted = state.count_labels();
  if (report.counted > 0) {
    state.learn(report);
  } else {
    report.skipped = "none of its sequences has a label that counts (data.loss_fields)";
    report.loss = std::numeric_limits<double>::quiet_NaN();
  }
  state.progress.step = report.step;
  state.progress.next_sequence += state.config.training.batch;
  state.report_times(report);
  report.seconds = seconds_since(start);
  return report;
}

double Trainer::validate() {
  State& state = *state_;
  const auto judge = [&] {
    return validation_loss(state.model, state.groups, *state.valid, state.config.validation.sequences,
                           state.config.training.sequences_at_once(), state.arena,
                           [&] { look_for_stop(state.groups.world(), state.stop_asked); });
  };
  double loss = judge();
  while (!std::isfinite(loss) && state.model.make_room()) loss = judge();
  if (std::isfinite(loss)) return loss;
  const std::string where = "validation after step " + std::to_string(state.progress.step);
  state.expect_finite_weights(where);
  fail(ErrorCode::kNonFinite, where, ": loss is ", loss, ", must be finite");
}

void Trainer::trace_steps(StepTrace* trace) {
  state_->model.times().trace = trace;
  state_->optimiser.trace(trace);
}

void Trainer::stop_when(StopAsked asked) { state_->stop_asked = std::move(asked); }

void Trainer::tell_with(std::function<void(const std::string& line)> say) { state_->say = std::move(say); }

void Trainer::record_routing(RoutingCounter& counter) { state_->routing_counter = &counter; }

std::int64_t Trainer::steps_done() const { return state_->progress.step; }

std::string_view Trainer::device_messages() const {
  const DeviceMessages* messages = state_->groups.world().messages;
  return messages == nullptr ? std::string_view() : messages->name();
}

std::int64_t Trainer::parameters() const {
  const ModelConfig& config = state_->config.model;
  std::int64_t total = 0;
  for (const ParameterSpec& spec : model_specs(state_->model.config(), {0, config.layer.experts})) {
    total += spec.trained ? spec.shape.elements() : 0;
  }
  return total;
}

std::filesystem::path Trainer::save() {
  State& state = *state_;
  state.expect_finite_weights("checkpoint after step " + std::to_string(state.progress.step));
  return save_checkpoint(state.checkpoint_place(), state.progress, state.model.config(), state.host_weights.memory(),
                         state.groups.world(), state.groups.experts().size(), state.groups.replicas());
}

std::optional<FoundCheckpoint> Trainer::resume() {
  State& state = *state_;
  const CheckpointPlace place = state.checkpoint_place();
  auto found = load_checkpoint(place.directory, Damaged::kSetAside, state.model.config(), state.host_weights.memory(),
                               state.groups.world(), place.patience);
  if (found) state.host_weights.write();
  if (found) resume_from(*found, state.progress);
  return found;
}

}  // namespace coe
