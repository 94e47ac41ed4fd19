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

/// Exchanges whose rows are needed no longer than they last take these in turn: one is in flight at a time, since an
/// iteration runs as one chunk, and the next need not wait for who still reads it.
constexpr int kPassingSlots = 2;

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

int ChainLayer::exchange_slots(std::int64_t layers, std::int64_t iterations) {
  return kPassingSlots + static_cast<int>(layers * iterations);
}

int ChainLayer::passing_slot(int t) const { return t % kPassingSlots; }

int ChainLayer::lasting_slot(int t) const { return kPassingSlots + layer_ * static_cast<int>(config_.iterations) + t; }

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
  Pass pass{.batch = batch,
            .context = context,
            .saved = saved != nullptr ? *saved : unsaved_,
            .lasting = saved != nullptr,
            .balance = 0,
            .arena = arena};
  begin_iteration(0, x, pass);
  for_each_token_block(x, [&](std::int64_t first, std::int64_t count) { enter_iteration(0, first, count, pass); });
  Tensor current = x;
  for (int t = 0; t < config_.iterations; ++t) {
    current = arena.make<float>(x.shape());
    if (t + 1 < config_.iterations) begin_iteration(t + 1, current, pass);
    const Arena::Mark mark = arena.mark();
    iterate(t, current, pass);
    if (!pass.lasting) arena.reset(mark);
  }
  if (config_.residual == Residual::kOuter) add(x, 1, current);
  return {.y = current, .balance_loss = pass.balance};
}

void ChainLayer::begin_iteration(int t, const Tensor& x, Pass& pass) {
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

void ChainLayer::enter_iteration(int t, std::int64_t first, std::int64_t count, Pass& pass) {
  const PartTimer timer(*context_.times, Part::kGate, t > 0 ? std::optional(Part::kCombine) : std::nullopt);
  IterationSaved& saved = pass.at(t);
  if (config_.iteration_norm) {
    rms_norm(saved.x.rows(first, count), weights_.norms[static_cast<std::size_t>(t)].value, config_.norm_eps,
             saved.normed.rows(first, count), saved.inverse_rms.rows(first, count));
  }
  gates_[static_cast<std::size_t>(t)].route(saved.gating, saved.normed, first, count, saved.gate, pass.arena);
}

void ChainLayer::iterate(int t, const Tensor& next, Pass& pass) {
  const int slot = pass.lasting ? lasting_slot(t) : passing_slot(t);
  IterationSaved& saved = pass.at(t);
  plan(t, pass);
  Exchange& exchange = *context_.exchange;
  const std::int64_t sent_before = exchange.bytes_sent();
  const ExpertRows rows = dispatch(t, slot, pass);
  {
    const PartTimer timer(*context_.times, Part::kExperts);
    experts_.forward(rows, exchange.result_rows(saved.plan, slot, pass.arena), &saved.experts, pass.arena);
  }
  if (slot < kPassingSlots) exchange.release(slot);
  turn_around(t, slot, next, pass);
  counters_[static_cast<std::size_t>(t)].bytes_sent += exchange.bytes_sent() - sent_before;
}

ExpertRows ChainLayer::dispatch(int t, int slot, Pass& pass) {
  const PartTimer timer(*context_.times, Part::kDispatch);
  Exchange& exchange = *context_.exchange;
  const IterationSaved& saved = pass.at(t);
  exchange.begin_dispatch(saved.plan, saved.normed, saved.routed.routing.weight, nullptr, slot, phase("dispatch", t));
  return exchange.finish_dispatch(saved.plan, slot, pass.arena);
}

void ChainLayer::turn_around(int t, int slot, const Tensor& next, Pass& pass) {
  Exchange& exchange = *context_.exchange;
  IterationSaved& saved = pass.at(t);
  exchange.begin_combine(saved.plan, slot, phase("combine", t));
  const Tensor shared = shared_forward(pass.batch, saved, pass.arena);
  const auto complete = [&](std::int64_t first, std::int64_t count) {
    const Tensor sums = next.rows(first, count);
    if (shared.elements() > 0) add(shared.rows(first, count), 1, sums);
    if (config_.residual == Residual::kInner) add(saved.x.rows(first, count), 1, sums);
    // The loss then tells all ranks that a token could not be routed here.
    if (saved.gate.lost >= 0) std::ranges::fill(sums.span<float>(), std::numeric_limits<float>::quiet_NaN());
    if (t + 1 < config_.iterations) enter_iteration(t + 1, first, count, pass);
  };
  const PartTimer timer(*context_.times, Part::kCombine);
  exchange.finish_combine(saved.plan, slot, next, nullptr, std::ref(complete));
}

void ChainLayer::plan(int t, Pass& pass) {
  IterationSaved& saved = pass.at(t);
  {
    const PartTimer timer(*context_.times, Part::kGate);
    saved.routed = gates_[static_cast<std::size_t>(t)].finish_forward(saved.gating, pass.arena);
  }
  const PartTimer timer(*context_.times, Part::kPlan);
  const std::int64_t choices = saved.routed.routing.choices();
  IterationCounters& counters = counters_[static_cast<std::size_t>(t)];
  std::ranges::transform(counters.load, saved.routed.counts.span<std::int32_t>(), counters.load.begin(), std::plus<>());

  balance_and_admit(t, pass);
  const Routing& routing = saved.routed.routing;
  counters.tokens += routing.tokens();
  counters.dropped += choices - saved.plan.rows_sent();
  counters.rerouted += routing.choices() - choices;
  if (counter_ != nullptr) counter_->count(layer_, t, routing);
}

void ChainLayer::balance_and_admit(int t, Pass& pass) {
  IterationSaved& saved = pass.at(t);
  Arena& arena = pass.arena;
  const LayerConfig config =
      pass.context.capacity_factor ? with_capacity(config_, *pass.context.capacity_factor) : config_;
  const bool alone = config.capacity_scope == CapacityScope::kRank;
  const Group group = context_.groups->experts();
  const Tensor& counts = saved.routed.counts;
  const Tensor table = arena.make<std::int32_t>({group.size(), config_.experts});
  const auto gather = [&] {
    all_gather<std::int32_t>(group, counts.span<std::int32_t>(), table.span<std::int32_t>(), phase("plan", t));
  };
  if (!alone) gather();
  std::span<const std::int64_t> world;
  if (needs_world_counts(config)) {
    world = world_counts(alone ? counts : table, alone ? context_.groups->world() : context_.groups->replicas(),
                         phase("balance", t), arena);
  }
  const Balance losses = balance_loss(config_, pass.context.l1_coeff, saved.routed, world, pass.batch, arena);
  saved.balance = losses.gradient;
  pass.balance += losses.loss;

  const std::int64_t tokens = alone ? pass.batch.tokens() : pass.batch.group_tokens();
  saved.routed.routing = admit(config, tokens, saved.routed, alone ? counts : table,
                               alone ? context_.groups->alone() : group, phase("admission", t), arena);
  if (config.reroute_rounds > 0) router_->weigh(saved.routed.routing);
  if (alone) gather();
  saved.plan = make_dispatch_plan(saved.routed.routing, table, *context_.placement, group.rank(), arena,
                                  padded_rows(config, pass.batch, group.size()));
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

void ChainLayer::backward(const Tensor& dy, const Batch& batch, const ChainSaved& saved, const Tensor& dx,
                          Arena& arena) {
  ArenaScope scratch(arena);
  Tensor d = arena.make<float>(dy.shape()), earlier = arena.make<float>(dy.shape());
  copy(dy, d);
  for (int t = static_cast<int>(config_.iterations) - 1; t >= 0; --t) {
    ArenaScope iteration(arena);
    iterate_backward(t, d, batch, saved.iterations[static_cast<std::size_t>(t)], earlier, arena);
    std::swap(d, earlier);
  }
  if (config_.residual == Residual::kOuter) add(dy, 1, d);
  copy(d, dx);
}

void ChainLayer::iterate_backward(int t, const Tensor& d, const Batch& batch, const IterationSaved& saved,
                                  const Tensor& dx, Arena& arena) {
  const Tensor dnormed = config_.iteration_norm ? arena.make<float>(d.shape()) : dx;
  const Tensor dweight = arena.make<float>({saved.routed.routing.choices()});
  routed_backward(t, d, saved, dnormed, dweight, arena);
  shared_backward(d, batch, saved, dnormed, arena);
  const PartTimer timer(*context_.times, Part::kGate);
  gates_[static_cast<std::size_t>(t)].backward(batch, saved.gate, saved.routed, dweight, saved.balance, dnormed, arena);
  if (config_.iteration_norm) {
    const TrainedTensor& norm = weights_.norms[static_cast<std::size_t>(t)];
    std::ranges::fill(dx.span<float>(), 0.0F);
    rms_norm_backward(saved.x, norm.value, saved.inverse_rms, dnormed, dx, norm.gradient);
  }
  if (config_.residual == Residual::kInner) add(d, 1, dx);
}

void ChainLayer::routed_backward(int t, const Tensor& d, const IterationSaved& saved, const Tensor& dx,
                                 const Tensor& dweight, Arena& arena) {
  Exchange& exchange = *context_.exchange;
  const int slot = passing_slot(t);
  const std::int64_t sent_before = exchange.bytes_sent();
  ExpertRows rows;
  {
    const PartTimer timer(*context_.times, Part::kDispatch);
    exchange.begin_dispatch(saved.plan, d, {}, &saved.routed.routing.weight, slot, phase("backward dispatch", t));
    rows = exchange.finish_dispatch(saved.plan, slot, arena);
  }
  {
    const PartTimer timer(*context_.times, Part::kExperts);
    experts_.backward(rows, exchange.result_rows(saved.plan, slot, arena), saved.experts, arena);
  }
  exchange.release(slot);
  exchange.release(lasting_slot(t));
  const PartTimer timer(*context_.times, Part::kCombine);
  exchange.begin_combine(saved.plan, slot, phase("backward combine", t));
  exchange.finish_combine(saved.plan, slot, dx, &dweight, {});
  counters_[static_cast<std::size_t>(t)].bytes_sent += exchange.bytes_sent() - sent_before;
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
