#include "runtime/trainer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "kernels/arena.h"
#include "runtime/batch.h"
#include "runtime/checkpoint.h"
#include "runtime/model.h"
#include "runtime/model_parameters.h"
#include "runtime/optimiser.h"
#include "runtime/rank_groups.h"
#include "runtime/token_batch.h"

namespace coe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// ReMoE's rule (arXiv 2412.14711, section 3.3): more sparsity is wanted while fewer than 1 - K/N of the pairs are
/// zero.
constexpr double kL1Factor = 1.2;

double next_l1_coeff(const LayerConfig& layer, double l1_coeff, double sparsity) {
  const double wanted = 1 - static_cast<double>(layer.top_k) / static_cast<double>(layer.experts);
  return sparsity < wanted ? l1_coeff * kL1Factor : l1_coeff / kL1Factor;
}

std::int64_t numbers_per_iteration(const LayerConfig& layer) { return layer.experts + 4; }

}  // namespace

struct Trainer::State {
  State(const Config& wanted, Transport& world, const TokenSource& train_source, const TokenSource& valid_source,
        FlightRecorder* flight_recorder)
      : config(wanted),
        recorder(flight_recorder),
        groups(world, wanted.distributed.expert_parallel, wanted.distributed.deadline(), flight_recorder),
        model(wanted.model, groups, true),
        optimiser(wanted.training, groups, model.parameters()),
        train(&train_source),
        valid(&valid_source) {
    progress.l1_coeff = config.model.layer.l1_coeff;
    progress.seed = config.training.seed;
  }

  LossPart accumulate();
  void sum_loss(const LossPart& loss, StepReport& report);
  void report_times(StepReport& report);
  void report_routing(StepReport& report);
  /// Load-balancing feedback of a whole step: ReMoE's lambda and the routers' biases.
  void adapt_routing(const StepReport& report);
  CheckpointPlace checkpoint_place() const {
    return {config.output.directory / "checkpoints", config.output.checkpoints_kept};
  }

  Config config;
  FlightRecorder* recorder;
  RankGroups groups;
  Model model;
  Optimiser optimiser;
  const TokenSource* train;
  const TokenSource* valid;
  Arena arena;
  TrainingState progress;
  RoutingCounter* routing_counter = nullptr;
};

Trainer::Trainer(const Config& config, Transport& world, const TokenSource& train, const TokenSource& valid,
                 FlightRecorder* recorder)
    : state_(std::make_unique<State>(config, world, train, valid, recorder)) {
  initialise(config.model, config.training.seed, state_->model.parameters());
}

Trainer::~Trainer() = default;

LossPart Trainer::State::accumulate() {
  const std::int64_t whole = config.training.batch, length = config.model.sequence;
  const std::int64_t micro = config.training.sequences_at_once();
  Batch batch = deal_batch(micro, length, groups);
  batch.share = static_cast<double>(micro) / static_cast<double>(whole);
  const double scale = 1 / static_cast<double>(whole * length);
  LossPart loss;
  model.record_routing(routing_counter);
  for (std::int64_t done = 0; done < whole; done += micro) {
    arena.reset();
    TokenBatch tokens;
    {
      const PartTimer timer(model.times(), Part::kData);
      tokens = read_token_batch(*train, progress.next_sequence + done, batch, arena);
    }
    const RoutingContext routing{.l1_coeff = progress.l1_coeff,
                                 .random = StepRandom{progress.seed, progress.step + 1, done}};
    const LossPart part = model.loss_and_gradients(tokens.ids, tokens.labels, batch, scale, routing, arena);
    loss.cross_entropy += part.cross_entropy * scale;
    loss.balance += part.balance;
  }
  model.record_routing(nullptr);
  return loss;
}

StepReport Trainer::step() {
  State& state = *state_;
  const Clock::time_point start = Clock::now();
  if (state.recorder != nullptr) state.recorder->set_step(state.progress.step + 1);
  PartTimes& times = state.model.times();
  times = {};
  for (ChainLayer& chain : state.model.chains()) chain.clear_counters();
  state.model.parameters().zero_gradients();

  StepReport report;
  report.step = state.progress.step + 1;
  report.l1_coeff = state.progress.l1_coeff;
  report.learning_rate = learning_rate_at(state.config.training, report.step);
  report.tokens = state.config.training.batch * state.config.model.sequence;
  const LossPart loss = state.accumulate();
  {
    const PartTimer timer(times, Part::kReduce);
    state.optimiser.reduce_gradients();
    report.gradient_norm = state.optimiser.gradient_norm();
    state.sum_loss(loss, report);
  }
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    fail(ErrorCode::kNonFinite, "step ", report.step, ": loss is ", report.loss, ", gradient norm is ",
         report.gradient_norm, "; both must be finite");
  }
  {
    const PartTimer timer(times, Part::kOptimiser);
    state.optimiser.update(report.step, report.gradient_norm);
  }
  state.progress.step = report.step;
  state.progress.next_sequence += state.config.training.batch;
  if (state.routing_counter != nullptr) state.routing_counter->count_step(report.step);
  state.report_routing(report);
  state.adapt_routing(report);
  state.report_times(report);
  report.seconds = seconds_since(start);
  return report;
}

void Trainer::State::sum_loss(const LossPart& loss, StepReport& report) {
  std::array<double, 2> sums = {loss.cross_entropy, loss.balance};
  all_reduce_sum<double>(groups.world(), sums, {"loss reduction"});
  report.loss = sums[0];
  report.balance_loss = sums[1];
}

void Trainer::State::report_times(StepReport& report) {
  report.times = model.times();
  all_reduce_sum<double>(groups.world(), report.times.seconds, {"time report"});
  for (double& seconds : report.times.seconds) seconds /= groups.world().size();
}

void Trainer::State::report_routing(StepReport& report) {
  const LayerConfig& layer = config.model.layer;
  std::vector<std::int64_t> numbers;
  for (ChainLayer& chain : model.chains()) {
    for (const IterationCounters& counters : chain.counters()) {
      numbers.insert(numbers.end(), counters.load.begin(), counters.load.end());
      numbers.insert(numbers.end(), {counters.tokens, counters.dropped, counters.rerouted, counters.bytes_sent});
    }
  }
  all_reduce_sum<std::int64_t>(groups.world(), numbers, {"routing report"});
  auto next = numbers.begin();
  for (int l = 0; l < config.model.layers; ++l) {
    for (int t = 0; t < layer.iterations; ++t, next += numbers_per_iteration(layer)) {
      const auto end = next + layer.experts;
      report.routing.push_back({l, t, {next, end}, end[0], end[1], end[2], end[3]});
      report.bytes_exchanged += end[3];
    }
  }
}

void Trainer::State::adapt_routing(const StepReport& report) {
  const LayerConfig& layer = config.model.layer;
  double sparsity = 0;
  for (const RoutingReport& one : report.routing) {
    sparsity += one.sparsity() / static_cast<double>(report.routing.size());
    model.chains()[static_cast<std::size_t>(one.layer)].update_router_bias(one.iteration, one.load);
  }
  if (layer.router == RouterKind::kRelu) progress.l1_coeff = next_l1_coeff(layer, progress.l1_coeff, sparsity);
}

double Trainer::validate() {
  State& state = *state_;
  return mean_loss(state.model, state.groups, *state.valid, state.config.validation.sequences,
                   state.config.training.sequences_at_once(), state.arena);
}

void Trainer::record_routing(RoutingCounter& counter) { state_->routing_counter = &counter; }

std::int64_t Trainer::steps_done() const { return state_->progress.step; }

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
  return save_checkpoint(state.checkpoint_place(), state.progress, state.model.config(), state.model.parameters(),
                         state.groups.world(), state.groups.experts().size());
}

std::optional<FoundCheckpoint> Trainer::resume() {
  State& state = *state_;
  auto found = load_checkpoint(state.checkpoint_place().directory, Damaged::kSetAside, state.model.config(),
                               state.model.parameters(), state.groups.world());
  if (found) state.progress = found->state;
  return found;
}

}  // namespace coe
