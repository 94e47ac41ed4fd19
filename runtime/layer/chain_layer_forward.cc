#include <algorithm>

#include "comm/device_messages.h"
#include "kernels/decoder/rms_norm.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/layer/layer_size.h"
#include "runtime/ranks/row_table.h"
#include "runtime/routing/token_blocks.h"

namespace coe {
namespace {

/// As many as experts always compute, 0 where they compute what comes.
std::int64_t padded_rows(const LayerConfig& config, const Batch& batch, int ranks) {
  return config.pad_to_capacity ? most_of_an_expert(config, batch.group_tokens(), ranks) : 0;
}

}  // namespace

Task ChainLayer::pass_forward(Forward pass, FrameArena& frames) {
  const auto here = [&](int t) { context_.times->place = {layer_, t, static_cast<int>(pass.chunk)}; };
  here(0);
  begin_iteration(0, pass.x, pass);
  for_each_token_block(pass.x, [&](std::int64_t first, std::int64_t count) { enter_iteration(0, first, count, pass); });
  for (int t = 0; t < iterations(); ++t) {
    here(t);
    const bool last = t + 1 == iterations();
    const Tensor next = last ? pass.y : pass.arena.make(pass.x.dtype(), pass.x.shape());
    if (!last) begin_iteration(t + 1, next, pass);
    const Arena::Mark mark = pass.arena.mark();
    IterationSaved& at = pass.at(t);
    finish_gate(t, pass);
    Tensor table = at.routed.counts, world_counts;
    if (!pass.alone() || needs_world_counts(config_)) co_await tell(t, at.routed.counts, 0, pass);
    if (!pass.alone()) table = tables(pass).table(0);
    if (needs_world_counts(config_)) {
      world_counts = RowTable(tables(pass).table(0)).totals(pass.arena, stream());
      if (pass.chunks > 1) {
        counts_[pass.chunk] = world_counts;
        co_await Turn();
        here(t);
        world_counts = add_up_totals(counts_, pass.arena, stream());
      }
      if (context_.groups->replicas().size() > 1) {
        co_await tell_replicas(t, world_counts, pass);
        const RowTables& told = *context_.workspace->replicas[pass.chunk];
        world_counts = RowTable(told.table(0)).totals(pass.arena, stream());
      }
    }
    balance(t, world_counts, pass);
    const Admission::Call call = admission_call(t, pass);
    if (pass.config.drop_policy != DropPolicy::kNone) {
      Task admitted = admission(pass).admit(call, at.routed, table, frames);
      co_await admitted;
      here(t);
    }
    if (pass.alone()) {
      co_await tell(t, table, 1, pass);
      table = tables(pass).table(1);
    }
    plan(t, table, pass);

    const double sent = StepTrace::now();
    at.flight = dispatch(t, pass);
    run_experts(co_await Timed(*context_.times, Part::kDispatch, at.flight.arrived()), at, pass.arena);
    at.flight.send_back(phase("combine", t));
    const Combination sums = combination(t, next, pass);
    const TokensSummed summed = [&](std::int64_t first, std::int64_t count) {
      if (!last) enter_iteration(t + 1, first, count, pass);
    };
    co_await Timed(*context_.times, Part::kCombine, at.flight.combine(sums, summed));

    trace_flight(sent);
    counters_.add_bytes(t, at.flight.bytes_sent());
    if (pass.lasting) continue;
    at.flight = {};
    pass.arena.reset(mark);
  }
}

void ChainLayer::trace_flight(double sent) const {
  if (context_.times->trace == nullptr) return;
  context_.times->trace->add({Span::Track::kFlight, Part::kDispatch, context_.times->place, sent, StepTrace::now()});
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
  saved.gating = gate.begin_forward(saved.normed, pass.batch(), pass.context, saved.gate, pass.arena);
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
  if (!pass.context.replayed) counters_.add_chosen(t, saved.routed);
}

Timed<RowTables::Told> ChainLayer::tell(int t, const Tensor& counts, int round, const Forward& pass) {
  const PartTimer timer(*context_.times, Part::kPlan);
  tables(pass).tell(counts, round, phase("plan", t));
  return {*context_.times, Part::kPlan, tables(pass).told()};
}

Timed<RowTables::Told> ChainLayer::tell_replicas(int t, const Tensor& counts, const Forward& pass) {
  const PartTimer timer(*context_.times, Part::kPlan);
  RowTables& tables = *context_.workspace->replicas[pass.chunk];
  const Shape row{1, config_.experts};
  Tensor mine(counts.raw(), DType::kI32, row, counts.device());
  if (counts.on_host()) {
    mine = pass.arena.make<std::int32_t>(row);
    std::ranges::transform(counts.span<std::int64_t>(), mine.data<std::int32_t>(),
                           [](std::int64_t count) { return static_cast<std::int32_t>(count); });
  }
  tables.tell(mine, 0, phase("balance", t));
  return {*context_.times, Part::kPlan, tables.told()};
}

void ChainLayer::balance(int t, const Tensor& world_counts, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kPlan);
  IterationSaved& saved = pass.at(t);
  saved.balance = add_balance_loss(config_, pass.context, saved.routed, world_counts, pass.batch(), pass.loss,
                                   pass.arena, stream());
}

Admission::Call ChainLayer::admission_call(int t, const Forward& pass) const {
  return {.config = pass.config,
          .tokens = pass.alone() ? pass.batch().tokens() : pass.batch().group_tokens(),
          .bias = gates_[static_cast<std::size_t>(t)].bias(),
          .phase = phase("admission", t),
          .arena = pass.arena};
}

void ChainLayer::plan(int t, const Tensor& table, Forward& pass) {
  const PartTimer timer(*context_.times, Part::kPlan);
  IterationSaved& saved = pass.at(t);
  const Placement& placement = *context_.placement;
  const DeviceMessages* messages = context_.groups->experts().messages;
  const bool fixed = messages != nullptr && messages->sizes_are_fixed();
  const std::int64_t tokens = pass.batch().group_tokens();
  const RowRoom* const room = messages == nullptr ? context_.room : nullptr;
  const PlannedRows planned{
      .most = room != nullptr ? room->rows(pass.config, placement, tokens) : most_rows(pass.config, placement, tokens),
      .padded = padded_rows(pass.config, pass.batch(), placement.ranks()),
      .message = fixed ? message_rows(pass.config, placement, pass.batch().most_tokens(placement.ranks()), tokens) : 0,
      .overflow = room != nullptr ? room->overflow() : Tensor()};
  saved.plan = planner_.plan(saved.routed, table, planned, pass.arena);
  if (pass.context.replayed) return;
  const bool whole_group = table.extent(0) > 1;
  counters_.add_sent(t, saved.chosen, saved.routed, saved.plan,
                     table[whole_group ? context_.groups->experts().rank() : 0]);
  if (routings_ != nullptr) routings_->add(layer_, t, saved.routed.routing);
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
          .shared = shared_forward(saved, pass.batch(), pass.arena),
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

}  // namespace coe
