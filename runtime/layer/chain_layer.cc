#include "runtime/layer/chain_layer.h"

#include <algorithm>
#include <functional>

#include "kernels/decoder/rms_norm.h"
#include "kernels/memory/copy.h"
#include "kernels/routing/rows.h"
#include "runtime/layer/layer_size.h"
#include "runtime/ranks/row_table.h"
#include "runtime/routing/router_bias.h"
#include "runtime/routing/token_blocks.h"

namespace coe {
namespace {

/// Flights whose rows are needed no longer than they last take so many places in turn: one is under way at a time,
/// since an iteration runs as one chunk, and the next need not wait for who still reads it.
constexpr int kPassing = 2;

/// As many as experts always compute, 0 where they compute what comes.
std::int64_t padded_rows(const LayerConfig& config, const Batch& batch, int ranks) {
  return config.pad_to_capacity ? most_of_an_expert(config, batch.group_tokens(), ranks) : 0;
}

/// sums [N] of terms [n, N], int64.
void add_up(const Tensor& terms, const Tensor& sums) {
  std::ranges::fill(sums.span<std::int64_t>(), 0);
  for (std::int64_t i = 0; i < terms.elements(); ++i) {
    sums.data<std::int64_t>()[i % sums.elements()] += terms.data<std::int64_t>()[i];
  }
}

}  // namespace

ChainLayer::ChainLayer(const LayerConfig& config, int layer, const ChainContext& context, ChainWeights weights)
    : config_(config),
      layer_(layer),
      context_(context),
      weights_(std::move(weights)),
      router_(make_router(config, *context.stream)),
      admission_(config, *router_, *context.tables->group, context.groups->experts()),
      own_admission_(config, *router_, *context.tables->own, context.groups->alone()),
      planner_(*context.placement, context.groups->experts().rank(), *context.stream),
      experts_(weights_.experts, context.threads, *context.stream),
      counters_(static_cast<std::size_t>(config.iterations)) {
  check(stream().device() == kCpu || context.groups->replicas().size() == 1,
        "layer on a device: data parallelism is not there yet; every expert must be on one rank alone");
  for (std::size_t t = 0; t < counters_.size(); ++t) {
    gates_.emplace_back(config, layer, static_cast<int>(t), weights_.gates[t], *router_);
    counters_[t].load.resize(static_cast<std::size_t>(config.experts));
  }
  if (weights_.shared) shared_.emplace(*weights_.shared, stream());
  unsaved_.iterations.resize(2);
}

FlightHint ChainLayer::flight_hint(std::int64_t layers, std::int64_t iterations, std::int64_t rows) {
  return {.rows = rows, .arrivals = kPassing + static_cast<int>(layers * iterations), .results = kInFlight};
}

void ChainLayer::clear_counters() {
  for (IterationCounters& counters : counters_) {
    std::ranges::fill(counters.load, 0);
    counters.tokens = counters.dropped = counters.rerouted = counters.bytes_sent = 0;
  }
}

void ChainLayer::update_router_bias(int iteration, float rate, std::span<const std::int64_t> load) {
  coe::update_router_bias(rate, load, gates_[static_cast<std::size_t>(iteration)].bias());
}

ChainOutput ChainLayer::forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                                Arena& arena) {
  ChainOutput out;
  run(begin_forward(x, batch, context, saved, arena, out));
  return out;
}

void ChainLayer::backward(const Tensor& dy, const Batch& batch, ChainSaved& saved, const Tensor& dx, Arena& arena) {
  ArenaScope scratch(arena);
  run(begin_backward(dy, batch, saved, dx, arena));
}

Task ChainLayer::begin_forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                               Arena& arena, ChainOutput& out) {
  frames_.reset();
  return pass_forward(x, batch, context, saved, arena, out, frames_);
}

Task ChainLayer::begin_backward(const Tensor& dy, const Batch& batch, ChainSaved& saved, const Tensor& dx,
                                Arena& arena) {
  frames_.reset();
  return pass_backward(dy, batch, saved, dx, arena, frames_);
}

ChainLayer::Forward ChainLayer::forward_of(const Tensor& x, const Batch& batch, const RoutingContext& context,
                                           ChainSaved* saved, Arena& arena) {
  if (saved != nullptr) saved->iterations.resize(static_cast<std::size_t>(config_.iterations));
  const Tensor loss = arena.make<double>({1});
  clear(loss, stream());
  return {.config = context.capacity_factor ? with_capacity(config_, *context.capacity_factor) : config_,
          .batch = batch,
          .context = context,
          .saved = saved != nullptr ? *saved : unsaved_,
          .lasting = saved != nullptr,
          .arena = arena,
          .x = x,
          .loss = loss};
}

Task ChainLayer::pass_forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                              Arena& arena, ChainOutput& out, FrameArena& frames) {
  Forward pass = forward_of(x, batch, context, saved, arena);
  out = {.y = x, .balance_loss = pass.loss};
  begin_iteration(0, x, pass);
  for_each_token_block(x, [&](std::int64_t first, std::int64_t count) { enter_iteration(0, first, count, pass); });
  for (int t = 0; t < iterations(); ++t) {
    const Tensor next = arena.make(x.dtype(), x.shape());
    if (t + 1 < iterations()) begin_iteration(t + 1, next, pass);
    const Arena::Mark mark = arena.mark();
    IterationSaved& at = pass.at(t);
    finish_gate(t, pass);
    Tensor table = at.routed.counts, world_counts;
    if (!pass.alone() || needs_world_counts(config_)) co_await tell(t, at.routed.counts, 0);
    if (!pass.alone()) table = context_.tables->group->table(0);
    if (needs_world_counts(config_)) {
      world_counts = RowTable(context_.tables->group->table(0)).totals(arena, stream());
      const int replicas = context_.groups->replicas().size();
      if (replicas > 1) {
        const Tensor all = arena.make<std::int64_t>({replicas, config_.experts});
        co_await tell_replicas(t, world_counts, all);
        add_up(all, world_counts);
      }
    }
    balance(t, world_counts, pass);
    const Admission::Call call = admission_call(t, pass);
    if (pass.config.drop_policy != DropPolicy::kNone) {
      Task admitted = admission(pass).admit(call, at.routed, table, frames);
      co_await admitted;
    }
    count_admitted(t, pass);
    if (pass.alone()) {
      co_await tell(t, table, 1);
      table = context_.tables->group->table(1);
    }
    plan(t, table, pass);

    at.flight = dispatch(t, pass);
    run_experts(co_await Timed(*context_.times, Part::kDispatch, at.flight.arrived()), at, arena);
    at.flight.send_back(phase("combine", t));
    const Combination sums = combination(t, next, pass);
    const TokensSummed summed = [&](std::int64_t first, std::int64_t count) {
      if (t + 1 < iterations()) enter_iteration(t + 1, first, count, pass);
    };
    co_await Timed(*context_.times, Part::kCombine, at.flight.combine(sums, summed));

    counters_[static_cast<std::size_t>(t)].bytes_sent += at.flight.bytes_sent();
    out.y = next;
    if (pass.lasting) continue;
    at.flight = {};
    arena.reset(mark);
  }
}

void ChainLayer::begin_iteration(int t, const Tensor& x, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kGate);
  IterationSaved& saved = pass.at(t);
  saved.x = saved.normed = x;
  if (config_.iteration_norm) {
    saved.normed = pass.arena.make(x.dtype(), x.shape());
    saved.inverse_rms = pass.arena.make<float>({x.extent(0)});
  }
  const Gate& gate = gates_[static_cast<std::size_t>(t)];
  saved.gating = gate.begin_forward(saved.normed, pass.batch, pass.context, saved.gate, pass.arena);
}

void ChainLayer::enter_iteration(int t, std::int64_t first, std::int64_t count, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kGate, t > 0 ? std::optional(Part::kCombine) : std::nullopt);
  IterationSaved& saved = pass.at(t);
  if (config_.iteration_norm) {
    rms_norm(saved.x.rows(first, count), weights_.norms[static_cast<std::size_t>(t)].value, config_.norm_eps,
             saved.normed.rows(first, count), saved.inverse_rms.rows(first, count), stream());
  }
  gates_[static_cast<std::size_t>(t)].route(saved.gating, saved.normed, first, count, saved.gate, pass.arena);
}

void ChainLayer::finish_gate(int t, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kGate);
  IterationSaved& saved = pass.at(t);
  saved.routed = gates_[static_cast<std::size_t>(t)].finish_forward(saved.gating, pass.arena);
  saved.chosen = saved.routed.routing.choices();
  if (!saved.routed.counts.on_host()) return;
  std::vector<std::int64_t>& load = counters_[static_cast<std::size_t>(t)].load;
  std::ranges::transform(load, saved.routed.counts.span<std::int32_t>(), load.begin(), std::plus<>());
}

Timed<RowTables::Told> ChainLayer::tell(int t, const Tensor& counts, int round) {
  const PartTimer timer(*context_.times, Part::kPlan);
  context_.tables->group->tell(counts, round, phase("plan", t));
  return {*context_.times, Part::kPlan, context_.tables->group->told()};
}

Timed<PostedCollective::Done> ChainLayer::tell_replicas(int t, const Tensor& counts, const Tensor& all) {
  const PartTimer timer(*context_.times, Part::kPlan);
  replicas_.all_gather(context_.groups->replicas(), std::as_bytes(counts.span<std::int64_t>()),
                       std::as_writable_bytes(all.span<std::int64_t>()), phase("balance", t));
  return {*context_.times, Part::kPlan, replicas_.done()};
}

void ChainLayer::balance(int t, const Tensor& world_counts, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kPlan);
  IterationSaved& saved = pass.at(t);
  saved.balance = add_balance_loss(config_, pass.context.l1_coeff, saved.routed, world_counts, pass.batch, pass.loss,
                                   pass.arena, stream());
}

Admission::Call ChainLayer::admission_call(int t, const Forward& pass) const {
  return {.config = pass.config,
          .tokens = pass.alone() ? pass.batch.tokens() : pass.batch.group_tokens(),
          .bias = gates_[static_cast<std::size_t>(t)].bias(),
          .phase = phase("admission", t),
          .arena = pass.arena};
}

void ChainLayer::count_admitted(int t, const Forward& pass) {
  const IterationSaved& saved = pass.at(t);
  if (!saved.routed.counts.on_host()) return;
  IterationCounters& counters = counters_[static_cast<std::size_t>(t)];
  counters.tokens += saved.routed.routing.tokens();
  counters.rerouted += saved.routed.routing.choices() - saved.chosen;
  if (counter_ != nullptr) counter_->count(layer_, t, saved.routed.routing);
}

void ChainLayer::plan(int t, const Tensor& table, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kPlan);
  IterationSaved& saved = pass.at(t);
  const Placement& placement = *context_.placement;
  saved.plan = planner_.plan(saved.routed, table, padded_rows(pass.config, pass.batch, placement.ranks()),
                             most_rows(pass.config, placement, pass.batch.group_tokens()), pass.arena);
  if (!table.on_host()) return;
  counters_[static_cast<std::size_t>(t)].dropped += saved.chosen - saved.plan.rows_sent();
}

Flight ChainLayer::dispatch(int t, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kDispatch);
  IterationSaved& saved = pass.at(t);
  saved.flight = {};  // of a forward that no backward followed
  return context_.exchange->begin(saved.plan,
                                  {.x = &saved.normed, .weights = saved.routed.routing.weight, .keep = pass.lasting},
                                  phase("dispatch", t));
}

void ChainLayer::run_experts(const ExpertRows& rows, IterationSaved& saved, Arena& arena) {
  const PartTimer timer(*context_.times, Part::kExperts);
  experts_.forward(rows, saved.flight.results(), &saved.experts, arena);
}

Combination ChainLayer::combination(int t, const Tensor& next, Forward& pass) {
  IterationSaved& saved = pass.at(t);
  return {.sum = next,
          .shared = shared_forward(saved, pass.batch, pass.arena),
          .residual = residual(t, iterations() - 1, saved.x, pass.x),
          .lost = saved.routed.lost};
}

Tensor ChainLayer::residual(int t, int outermost, const Tensor& inner, const Tensor& outer) const {
  if (config_.residual == Residual::kInner) return inner;
  if (config_.residual == Residual::kOuter && t == outermost) return outer;
  return {};
}

Tensor ChainLayer::shared_forward(IterationSaved& saved, const Batch& batch, Arena& arena) const {
  if (!shared_) return {};
  const PartTimer timer(*context_.times, Part::kExperts);
  const Tensor out = arena.make(saved.normed.dtype(), saved.normed.shape());
  saved.shared_ab = arena.make(out.dtype(), {out.extent(0), shared_->wide()});
  shared_->forward(saved.normed, batch.length, saved.shared_ab, out, arena);
  return out;
}

Task ChainLayer::pass_backward(const Tensor& dy, const Batch& batch, ChainSaved& saved, const Tensor& dx, Arena& arena,
                               FrameArena& /*frames*/) {
  Backward pass{batch, saved, arena};
  // The first iteration's gradient goes into dx unless that is dy and dy is still needed.
  const bool apart = dx.raw() == dy.raw() && (iterations() == 1 || config_.residual == Residual::kOuter);
  const auto gradient = [&] { return arena.make(dy.dtype(), dy.shape()); };
  const Tensor first = apart ? gradient() : dx;
  std::array<Tensor, 2> passing;
  for (int i = 0; i < std::min(iterations() - 1, 2); ++i) passing[static_cast<std::size_t>(i)] = gradient();
  const TokensSummed nobody;
  Tensor d = dy;
  for (int t = iterations() - 1; t >= 0; --t) {
    const Arena::Mark mark = arena.mark();
    IterationSaved& at = saved.iterations[static_cast<std::size_t>(t)];
    const Tensor earlier = t == 0 ? first : passing[static_cast<std::size_t>((t - 1) % 2)];
    const Tensor dnormed = config_.iteration_norm ? gradient() : earlier;
    const Tensor dweight = arena.make<float>({at.routed.routing.choices()});
    Flight flight = dispatch_gradient(t, d, at);
    const ExpertRows rows = co_await Timed(*context_.times, Part::kDispatch, flight.arrived());
    experts_backward(rows, flight.results(), at, arena);
    flight.send_back(phase("backward combine", t));
    const Combination sums{.sum = dnormed, .scalar = &dweight, .shared = shared_backward(d, at, batch, arena)};
    co_await Timed(*context_.times, Part::kCombine, flight.combine(sums, nobody));

    counters_[static_cast<std::size_t>(t)].bytes_sent += flight.bytes_sent();
    gate_backward(t, residual(t, 0, d, dy), dnormed, dweight, earlier, pass);
    arena.reset(mark);
    d = earlier;
  }
  if (apart) copy(first, dx, stream());
}

Flight ChainLayer::dispatch_gradient(int t, const Tensor& d, IterationSaved& saved) {
  const PartTimer timer(*context_.times, Part::kDispatch);
  return context_.exchange->begin(saved.plan, {.x = &d, .weights = {}, .scalar = &saved.routed.routing.weight},
                                  phase("backward dispatch", t));
}

void ChainLayer::experts_backward(const ExpertRows& d, const ExpertRows& dx, IterationSaved& saved, Arena& arena) {
  const PartTimer timer(*context_.times, Part::kExperts);
  experts_.backward(d, dx, saved.experts, arena);
  saved.flight = {};
}

void ChainLayer::gate_backward(int t, const Tensor& residual, const Tensor& dnormed, const Tensor& dweight,
                               const Tensor& dx, Backward& pass) {
  const PartTimer timer(*context_.times, Part::kGate);
  const IterationSaved& saved = pass.saved.iterations[static_cast<std::size_t>(t)];
  gates_[static_cast<std::size_t>(t)].backward(pass.batch, saved.gate, saved.routed, dweight, saved.balance, dnormed,
                                               pass.arena);
  const bool added = residual.elements() > 0;
  if (!config_.iteration_norm) {
    if (added) add(residual, 1, dx, stream());
    return;
  }
  added ? copy(residual, dx, stream()) : clear(dx, stream());
  const TrainedTensor& norm = weights_.norms[static_cast<std::size_t>(t)];
  rms_norm_backward(saved.x, norm.value, saved.inverse_rms, dnormed, dx, norm.gradient, pass.arena, stream());
}

Tensor ChainLayer::shared_backward(const Tensor& d, const IterationSaved& saved, const Batch& batch,
                                   Arena& arena) const {
  if (!shared_) return {};
  const PartTimer timer(*context_.times, Part::kExperts);
  const Tensor dx = arena.make(d.dtype(), d.shape());
  shared_->backward(saved.normed, batch.length, saved.shared_ab, d, dx, arena);
  return dx;
}

}  // namespace coe
