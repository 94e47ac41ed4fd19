#include "runtime/layer/chain_layer.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>

#include "kernels/decoder/rms_norm.h"
#include "kernels/routing/rows.h"
#include "runtime/routing/admission.h"
#include "runtime/routing/router_bias.h"
#include "runtime/routing/token_blocks.h"

namespace coe {
namespace {

/// Flights whose rows are needed no longer than they last take so many places in turn: one is under way at a time,
/// since an iteration runs as one chunk, and the next need not wait for who still reads it.
constexpr int kPassing = 2;

/// As many as experts always compute, 0 where they compute what comes.
std::int64_t padded_rows(const LayerConfig& config, const Batch& batch, int ranks) {
  if (!config.pad_to_capacity) return 0;
  // Every rank of its own rounds up: together by less than one row a rank.
  const std::int64_t rounding = config.capacity_scope == CapacityScope::kRank ? ranks - 1 : 0;
  return capacity_of(config, batch.group_tokens()) + rounding;
}

void copy(const Tensor& from, const Tensor& to) {
  if (from.bytes() > 0) std::memcpy(to.raw(), from.raw(), from.bytes());
}

}  // namespace

ChainLayer::ChainLayer(const LayerConfig& config, int layer, const ChainContext& context, ChainWeights weights)
    : config_(config),
      layer_(layer),
      context_(context),
      weights_(std::move(weights)),
      router_(make_router(config)),
      experts_(weights_.experts, context.threads),
      counters_(static_cast<std::size_t>(config.iterations)) {
  for (std::size_t t = 0; t < counters_.size(); ++t) {
    gates_.emplace_back(config, layer, static_cast<int>(t), weights_.gates[t], *router_);
    counters_[t].load.resize(static_cast<std::size_t>(config.experts));
  }
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
  if (saved != nullptr) saved->iterations.resize(static_cast<std::size_t>(config_.iterations));
  Forward pass{.config = context.capacity_factor ? with_capacity(config_, *context.capacity_factor) : config_,
               .batch = batch,
               .context = context,
               .saved = saved != nullptr ? *saved : unsaved_,
               .lasting = saved != nullptr,
               .arena = arena,
               .out = {.y = x, .balance_loss = 0}};
  frames_.reset();
  run(pass_forward(x, pass, frames_));
  return pass.out;
}

Task ChainLayer::pass_forward(const Tensor& x, Forward& pass, FrameArena& /*frames*/) {
  begin_iteration(0, x, pass);
  for_each_token_block(x, [&](std::int64_t first, std::int64_t count) { enter_iteration(0, first, count, pass); });
  for (int t = 0; t < config_.iterations; ++t) {
    const Tensor next = pass.arena.make<float>(x.shape());
    if (t + 1 < config_.iterations) begin_iteration(t + 1, next, pass);
    const Arena::Mark mark = pass.arena.mark();
    IterationSaved& saved = pass.at(t);
    finish_gate(t, pass);
    table_memory_.reset();
    const Tensor table = table_memory_.make<std::int32_t>({context_.groups->experts().size(), config_.experts});
    if (!pass.alone()) co_await gather(t, saved.routed.counts, table);
    balance_and_admit(t, table, pass);
    if (pass.alone()) co_await gather(t, saved.routed.counts, table);
    plan(t, table, pass);

    saved.flight = dispatch(t, pass);
    run_experts(co_await Timed(*context_.times, Part::kDispatch, saved.flight.arrived()), saved, pass.arena);
    saved.flight.send_back(phase("combine", t));
    const Tensor shared = shared_forward(pass.batch, saved, pass.arena);
    const TokensSummed summed = [&](std::int64_t first, std::int64_t count) {
      turn_around(t, next, shared, first, count, pass);
    };
    co_await Timed(*context_.times, Part::kCombine, saved.flight.combine(next, nullptr, summed));

    counters_[static_cast<std::size_t>(t)].bytes_sent += saved.flight.bytes_sent();
    pass.out.y = next;
    if (pass.lasting) continue;
    saved.flight = {};
    pass.arena.reset(mark);
  }
  if (config_.residual == Residual::kOuter) add(x, 1, pass.out.y);
}

void ChainLayer::begin_iteration(int t, const Tensor& x, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kGate);
  IterationSaved& saved = pass.at(t);
  saved.x = saved.normed = x;
  if (config_.iteration_norm) {
    saved.normed = pass.arena.make<float>(x.shape());
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
             saved.normed.rows(first, count), saved.inverse_rms.rows(first, count));
  }
  gates_[static_cast<std::size_t>(t)].route(saved.gating, saved.normed, first, count, saved.gate, pass.arena);
}

void ChainLayer::finish_gate(int t, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kGate);
  IterationSaved& saved = pass.at(t);
  saved.routed = gates_[static_cast<std::size_t>(t)].finish_forward(saved.gating, pass.arena);
  IterationCounters& counters = counters_[static_cast<std::size_t>(t)];
  std::ranges::transform(counters.load, saved.routed.counts.span<std::int32_t>(), counters.load.begin(), std::plus<>());
  counters.dropped += saved.routed.routing.choices();  // but for those that are planned
}

Timed<PostedGather::Done> ChainLayer::gather(int t, const Tensor& counts, const Tensor& table) {
  const PartTimer timer(*context_.times, Part::kPlan);
  gather_.post(context_.groups->experts(), std::as_bytes(counts.span<std::int32_t>()),
               std::as_writable_bytes(table.span<std::int32_t>()), phase("plan", t));
  return {*context_.times, Part::kPlan, gather_.done()};
}

void ChainLayer::balance_and_admit(int t, const Tensor& table, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kPlan);
  IterationSaved& saved = pass.at(t);
  const bool alone = pass.alone();
  const Tensor& counts = alone ? saved.routed.counts : table;
  const Group group = alone ? context_.groups->alone() : context_.groups->experts();
  const std::int64_t choices = saved.routed.routing.choices();
  std::span<const std::int64_t> world;
  if (needs_world_counts(config_)) {
    const Group others = alone ? context_.groups->world() : context_.groups->replicas();
    world = world_counts(counts, others, phase("balance", t), pass.arena);
  }
  const Balance losses = balance_loss(config_, pass.context.l1_coeff, saved.routed, world, pass.batch, pass.arena);
  saved.balance = losses.gradient;
  pass.out.balance_loss += losses.loss;
  const std::int64_t tokens = alone ? pass.batch.tokens() : pass.batch.group_tokens();
  saved.routed.routing = admit(pass.config, tokens, saved.routed, counts, group, phase("admission", t), pass.arena);
  if (pass.config.reroute_rounds > 0) router_->weigh(saved.routed.routing);

  const Routing& routing = saved.routed.routing;
  IterationCounters& counters = counters_[static_cast<std::size_t>(t)];
  counters.tokens += routing.tokens();
  counters.rerouted += routing.choices() - choices;
  if (counter_ != nullptr) counter_->count(layer_, t, routing);
}

void ChainLayer::plan(int t, const Tensor& table, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kPlan);
  IterationSaved& saved = pass.at(t);
  const Group group = context_.groups->experts();
  saved.plan = make_dispatch_plan(saved.routed.routing, table, *context_.placement, group.rank(), pass.arena,
                                  padded_rows(pass.config, pass.batch, group.size()));
  counters_[static_cast<std::size_t>(t)].dropped -= saved.plan.rows_sent();
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

void ChainLayer::turn_around(int t, const Tensor& next, const Tensor& shared, std::int64_t first, std::int64_t count,
                             Forward& pass) {
  const IterationSaved& saved = pass.at(t);
  const Tensor sums = next.rows(first, count);
  if (shared.elements() > 0) add(shared.rows(first, count), 1, sums);
  if (config_.residual == Residual::kInner) add(saved.x.rows(first, count), 1, sums);
  // The loss then tells all ranks that a token could not be routed here.
  if (saved.gate.lost >= 0) std::ranges::fill(sums.span<float>(), std::numeric_limits<float>::quiet_NaN());
  if (t + 1 < config_.iterations) enter_iteration(t + 1, first, count, pass);
}

std::span<const std::int64_t> ChainLayer::world_counts(const Tensor& table, Group others, const Phase& phase,
                                                       Arena& arena) const {
  const std::int64_t experts = config_.experts;
  const auto counts = arena.zeros<std::int64_t>({experts}).span<std::int64_t>();
  for (std::int64_t i = 0; i < table.elements(); ++i) {
    counts[static_cast<std::size_t>(i % experts)] += table.data<std::int32_t>()[i];
  }
  all_reduce_sum<std::int64_t>(others, counts, phase);
  return counts;
}

Tensor ChainLayer::shared_forward(const Batch& batch, IterationSaved& saved, Arena& arena) const {
  if (!weights_.shared) return {};
  const PartTimer timer(*context_.times, Part::kExperts);
  const Tensor out = arena.make<float>(saved.normed.shape());
  saved.shared_ab = arena.make<float>({batch.tokens(), weights_.shared->gate_up.extent(0)});
  for (std::int64_t t = 0; t < batch.tokens(); t += batch.length) {
    expert_forward(*weights_.shared, saved.normed.rows(t, batch.length), saved.shared_ab.rows(t, batch.length),
                   out.rows(t, batch.length), arena);
  }
  return out;
}

void ChainLayer::backward(const Tensor& dy, const Batch& batch, ChainSaved& saved, const Tensor& dx, Arena& arena) {
  ArenaScope scratch(arena);
  Backward pass{batch, saved, arena};
  frames_.reset();
  run(pass_backward(dy, dx, pass, frames_));
}

Task ChainLayer::pass_backward(const Tensor& dy, const Tensor& dx, Backward& pass, FrameArena& /*frames*/) {
  Tensor d = pass.arena.make<float>(dy.shape()), earlier = pass.arena.make<float>(dy.shape());
  copy(dy, d);
  const TokensSummed nobody;
  for (int t = static_cast<int>(config_.iterations) - 1; t >= 0; --t) {
    const Arena::Mark mark = pass.arena.mark();
    IterationSaved& saved = pass.saved.iterations[static_cast<std::size_t>(t)];
    const Tensor dnormed = config_.iteration_norm ? pass.arena.make<float>(d.shape()) : earlier;
    const Tensor dweight = pass.arena.make<float>({saved.routed.routing.choices()});
    Flight flight = dispatch_gradient(t, d, saved);
    const ExpertRows rows = co_await Timed(*context_.times, Part::kDispatch, flight.arrived());
    experts_backward(rows, flight.results(), saved, pass.arena);
    flight.send_back(phase("backward combine", t));
    co_await Timed(*context_.times, Part::kCombine, flight.combine(dnormed, &dweight, nobody));

    counters_[static_cast<std::size_t>(t)].bytes_sent += flight.bytes_sent();
    shared_backward(d, pass.batch, saved, dnormed, pass.arena);
    gate_backward(t, d, dnormed, dweight, earlier, pass);
    pass.arena.reset(mark);
    std::swap(d, earlier);
  }
  if (config_.residual == Residual::kOuter) add(dy, 1, d);
  copy(d, dx);
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

void ChainLayer::gate_backward(int t, const Tensor& d, const Tensor& dnormed, const Tensor& dweight, const Tensor& dx,
                               Backward& pass) {
  const PartTimer timer(*context_.times, Part::kGate);
  const IterationSaved& saved = pass.saved.iterations[static_cast<std::size_t>(t)];
  gates_[static_cast<std::size_t>(t)].backward(pass.batch, saved.gate, saved.routed, dweight, saved.balance, dnormed,
                                               pass.arena);
  if (config_.iteration_norm) {
    const TrainedTensor& norm = weights_.norms[static_cast<std::size_t>(t)];
    std::ranges::fill(dx.span<float>(), 0.0F);
    rms_norm_backward(saved.x, norm.value, saved.inverse_rms, dnormed, dx, norm.gradient);
  }
  if (config_.residual == Residual::kInner) add(d, 1, dx);
}

void ChainLayer::shared_backward(const Tensor& d, const Batch& batch, const IterationSaved& saved, const Tensor& dx,
                                 Arena& arena) const {
  if (!weights_.shared) return;
  const PartTimer timer(*context_.times, Part::kExperts);
  const std::int64_t length = batch.length;
  ArenaScope scratch(arena);
  const Tensor one = arena.make<float>({length}), unused = arena.make<float>({length});
  const Tensor dx_shared = arena.make<float>({length, config_.hidden});
  std::ranges::fill(one.span<float>(), 1.0F);
  for (std::int64_t t = 0; t < batch.tokens(); t += length) {
    expert_backward(*weights_.shared, saved.normed.rows(t, length), saved.shared_ab.rows(t, length), d.rows(t, length),
                    one, dx_shared, unused, arena);
    add(dx_shared, 1, dx.rows(t, length));
  }
}

}  // namespace coe
