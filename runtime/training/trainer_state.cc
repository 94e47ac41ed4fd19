#include "runtime/training/trainer_state.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "comm/collectives.h"
#include "runtime/layer/check_device.h"
#include "runtime/model/model_size.h"
#include "runtime/ranks/batch.h"
#include "runtime/routing/relu_router.h"
#include "runtime/training/non_finite.h"
#include "runtime/training/run_facts.h"

namespace coe {
namespace {

Stream make_stream(const Config& config) {
  if (config.training.device == Device::Kind::kCpu) return {};
  check_cuda_layer(config.model.layer);
  return Stream(own_cuda_device());
}

/// Of the step's Arena; a little more than the hint, for what is rounded up.
std::size_t arena_bytes(const Config& config, std::int64_t ranks) {
  const std::size_t hint = model_size(config.model, training_use(config, ranks)).arena_bytes();
  return hint + hint / 16;
}

bool is_finite(const StepReport& report) {
  return std::isfinite(report.loss) && std::isfinite(report.balance_loss) && std::isfinite(report.gradient_norm);
}

std::int64_t numbers_per_iteration(const LayerConfig& layer) { return layer.experts + 3; }

}  // namespace

Trainer::State::State(const Config& wanted, Transport& world, const TokenSource& train_source,
                      const TokenSource& valid_source, FlightRecorder* flight_recorder,
                      const std::vector<Placement>& placements)
    : config(wanted),
      stream(make_stream(wanted)),
      recorder(flight_recorder),
      groups(world, wanted.distributed.expert_parallel, wanted.distributed.deadline(), flight_recorder,
             {stream.device(), wanted.exchange.devices, wanted.exchange.sizes}),
      model(wanted.model, groups,
            {.order = wanted.exchange.order,
             .recompute = wanted.training.recompute,
             .threads = static_cast<int>(wanted.distributed.threads),
             .chunks = static_cast<int>(wanted.exchange.chunks),
             .tokens = training_use(wanted, world.size()).tokens,
             .capacity_factor = wanted.validation.capacity_factor,
             .stream = &stream,
             .dtype = dtype_of(wanted.training.dtype),
             .placements = placements,
             .shards_state = wanted.training.shard_optimiser,
             .row_slack = wanted.exchange.row_slack,
             .graph = wanted.training.graph}),
      host_weights(model, groups.world()),
      optimiser(wanted.training, groups, model.parameters(), stream),
      train(&train_source),
      valid(&valid_source),
      arena(arena_bytes(config, world.size()), stream.device()) {
  check_share(config, world.size());
  progress.l1_coeff = config.model.layer.l1_coeff;
  progress.seed = config.training.seed;
  progress.run = facts_for_manifest(run_facts(config, *train, *valid), world.size());
}

template <class Visit>
void Trainer::State::for_each_micro_batch(const Visit& visit) {
  const std::int64_t whole = config.training.batch, micro = config.training.sequences_at_once();
  Batch batch = deal_batch(micro, config.model.sequence, groups);
  batch.share = static_cast<double>(micro) / static_cast<double>(whole);
  for (std::int64_t done = 0; done < whole; done += micro) {
    if (whole > micro && routing_counter == nullptr) look_for_stop(groups.world(), stop_asked);
    arena.reset();
    tokens_arena.reset();
    TokenBatch tokens;
    {
      model.times().place = {};
      const PartTimer timer(model.times(), Part::kData);
      tokens = read_token_batch(*train, progress.next_sequence + done, batch, tokens_arena);
    }
    const RoutingContext routing{.l1_coeff = progress.l1_coeff,
                                 .random = StepRandom{progress.seed, progress.step + 1, done}};
    batch.documents = tokens.documents;
    visit(tokens, batch, routing, done);
  }
}

std::int64_t Trainer::State::count_labels() {
  if (!train->marked()) return config.training.batch * config.model.sequence;
  std::int64_t counted = 0;
  for_each_micro_batch(
      [&](const TokenBatch& tokens, const Batch&, const RoutingContext&, std::int64_t) { counted += tokens.counted; });
  all_reduce_sum<std::int64_t>(groups.world(), {&counted, 1}, {"counting labels"});
  return counted;
}

LossPart Trainer::State::accumulate(std::int64_t counted, const GradientsFinal& final) {
  const double scale = 1 / static_cast<double>(counted);
  const std::int64_t last = config.training.batch - config.training.sequences_at_once();
  LossPart loss;
  model.parameters().zero_gradients();
  for_each_micro_batch(
      [&](const TokenBatch& tokens, const Batch& batch, const RoutingContext& routing, std::int64_t done) {
        const LossPart part = model.loss_and_gradients(tokens.ids, tokens.labels, batch, scale, routing, arena,
                                                       done == last ? final : GradientsFinal());
        loss.cross_entropy += part.cross_entropy * scale;
        loss.balance += part.balance;
      });
  return loss;
}

void Trainer::State::begin_reduction(const FinalFrom& from) {
  model.times().place = {.backward = true};
  const PartTimer timer(model.times(), Part::kReduce);
  optimiser.begin_reduction(from);
}

StepReport Trainer::State::begin_report() const {
  StepReport report;
  report.step = progress.step + 1;
  report.l1_coeff = progress.l1_coeff;
  report.learning_rate = learning_rate_at(config.training, report.step);
  report.tokens = config.training.batch * config.model.sequence;
  return report;
}

void Trainer::State::learn_once(StepReport& report) {
  for (ChainLayer& chain : model.chains()) chain.clear_counters();
  model.record_routing(routing_counter);
  const LossPart loss = accumulate(report.counted, [this](const FinalFrom& from) { begin_reduction(from); });
  model.record_routing(nullptr);
  report.replays = model.replays();
  reduce(loss, report);
}

void Trainer::State::learn(StepReport& report) {
  learn_once(report);
  while (!is_finite(report) && model.make_room()) learn_once(report);
  if (!is_finite(report)) {
    report.skipped = first_non_finite(report);
    if (config.training.non_finite == OnNonFinite::kStop) {
      fail(ErrorCode::kNonFinite, "step ", report.step, ": ", report.skipped);
    }
  }
  if (report.skipped.empty()) update(report);
}

void Trainer::State::reduce(const LossPart& loss, StepReport& report) {
  model.times().place = {};
  const PartTimer timer(model.times(), Part::kReduce);
  optimiser.reduce_gradients();
  report.gradient_norm = optimiser.gradient_norm();
  sum_loss(loss, report);
}

void Trainer::State::update(StepReport& report) {
  {
    const PartTimer timer(model.times(), Part::kOptimiser);
    optimiser.update(report.step, report.gradient_norm);
  }
  if (routing_counter != nullptr) routing_counter->count_step(report.step);
  report_routing(report);
  adapt_routing(report);
}

std::string Trainer::State::first_non_finite(const StepReport& report) {
  constexpr std::int64_t kPlacesOfAMicroBatch = std::int64_t{1} << 32;
  expect_finite_weights("step " + std::to_string(report.step));
  std::optional<NonFinite> mine;
  for_each_micro_batch(
      [&](const TokenBatch& tokens, const Batch& batch, const RoutingContext& routing, std::int64_t done) {
        const Tensor hidden = model.activations(tokens.ids, batch, routing, arena);
        if (mine) return;
        mine = non_finite_activation(model, hidden, (done + batch.first_sequence) * batch.length, groups.world());
        if (mine) mine->place += done * kPlacesOfAMicroBatch;
      });
  std::string found = first_of_all(groups.world(), mine);
  if (!found.empty()) return found;
  accumulate(report.counted);  // this rank's own gradients, before they are added up
  found = first_of_all(groups.world(), non_finite_gradient(model.config(), host_weights.read_gradients()));
  if (!found.empty()) return found;
  std::ostringstream numbers;
  numbers << "loss is " << report.loss << ", balance loss is " << report.balance_loss << ", gradient norm is "
          << report.gradient_norm << "; all must be finite";
  return numbers.str();
}

void Trainer::State::expect_finite_weights(const std::string& where) {
  const std::string found = first_of_all(groups.world(), non_finite_weight(model.config(), host_weights.read()));
  if (!found.empty()) fail(ErrorCode::kNonFinite, where, ": ", found);
}

void Trainer::State::sum_loss(const LossPart& loss, StepReport& report) {
  const int grown = model.growths() + arena.growths();
  std::array<double, 3> sums = {loss.cross_entropy, loss.balance, static_cast<double>(grown - growths_reported)};
  growths_reported = grown;
  all_reduce_sum<double>(groups.world(), sums, {"loss reduction"});
  report.loss = sums[0];
  report.balance_loss = sums[1];
  report.buffer_growths = static_cast<std::int64_t>(sums[2]);
}

void Trainer::State::report_times(StepReport& report) {
  report.times.seconds = model.read_times().seconds;
  all_reduce_sum<double>(groups.world(), report.times.seconds, {"time report"});
  for (double& seconds : report.times.seconds) seconds /= groups.world().size();
}

void Trainer::State::report_routing(StepReport& report) {
  const LayerConfig& layer = config.model.layer;
  std::vector<std::int64_t> numbers;
  for (ChainLayer& chain : model.chains()) {
    for (const IterationCounters& counters : chain.counters()) {
      numbers.insert(numbers.end(), counters.load.begin(), counters.load.end());
      numbers.insert(numbers.end(), {counters.dropped, counters.rerouted, counters.bytes_sent});
    }
  }
  all_reduce_sum<std::int64_t>(groups.world(), numbers, {"routing report"});
  auto next = numbers.begin();
  for (int l = 0; l < config.model.layers; ++l) {
    for (int t = 0; t < layer.iterations; ++t, next += numbers_per_iteration(layer)) {
      const auto end = next + layer.experts;
      report.routing.push_back({l, t, {next, end}, report.tokens, end[0], end[1], end[2]});
      report.bytes_exchanged += end[2];
    }
  }
}

void Trainer::State::adapt_routing(const StepReport& report) {
  const LayerConfig& layer = config.model.layer;
  const auto rate = static_cast<float>(layer.router_bias_rate * annealed(config.training, report.step));
  double sparsity = 0;
  for (const RoutingReport& one : report.routing) {
    sparsity += one.sparsity() / static_cast<double>(report.routing.size());
    model.chains()[static_cast<std::size_t>(one.layer)].update_router_bias(one.iteration, rate, one.load);
  }
  if (layer.router == RouterKind::kRelu) progress.l1_coeff = next_l1_coeff(layer, progress.l1_coeff, sparsity);
}

}  // namespace coe
