#include "runtime/exchange/dispatch_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "kernels/memory/error.h"
#include "kernels/routing/buckets.h"
#include "kernels/routing/segments.h"
#include "runtime/ranks/row_table.h"

namespace coe {
namespace {

std::span<std::size_t> make_sizes(std::int64_t count, Arena& arena) {
  static_assert(sizeof(std::size_t) == sizeof(std::int64_t));
  const Tensor memory = arena.zeros<std::int64_t>({count});
  return {reinterpret_cast<std::size_t*>(memory.raw()), static_cast<std::size_t>(count)};
}

/// Calls visit(expert) for all, by (holder, local order).
template <class Visit>
void for_each_expert(const Placement& placement, const Visit& visit) {
  for (int rank = 0; rank < placement.ranks(); ++rank) {
    for (const std::int64_t expert : placement.experts_of(rank)) visit(expert);
  }
}

/// A stable bucket sort by (destination, its expert, token).
void plan_sends(const Routing& routing, const std::int32_t* rows, const Placement& placement, DispatchPlan& plan,
                Arena& arena) {
  const auto send_rows = make_sizes(placement.ranks(), arena);
  for (std::int64_t e = 0; e < routing.experts; ++e) {
    send_rows[static_cast<std::size_t>(placement.rank_of(e))] += static_cast<std::size_t>(rows[e]);
  }
  const auto sent = static_cast<std::int64_t>(std::accumulate(send_rows.begin(), send_rows.end(), std::size_t{0}));
  plan.send_rows = send_rows;
  plan.send_token = arena.make<std::int32_t>({sent});
  plan.send_choice = arena.make<std::int32_t>({sent});
  plan.offsets = routing.offsets;
  plan.place = arena.make<std::int32_t>({routing.choices()});

  ArenaScope scratch(arena);
  auto* next = arena.make<std::int32_t>({routing.experts}).data<std::int32_t>();
  std::int32_t begin = 0;
  for_each_expert(placement, [&](std::int64_t e) { next[e] = std::exchange(begin, begin + rows[e]); });
  const auto* offsets = routing.offsets.data<std::int32_t>();
  std::int64_t placed = 0;
  for (std::int32_t t = 0; t < routing.tokens(); ++t) {
    for (std::int32_t j = offsets[t]; j < offsets[t + 1]; ++j) {
      plan.place.data<std::int32_t>()[j] = -1;
      if (routing.kept.data<std::uint8_t>()[j] == 0) continue;
      const std::int32_t at = next[routing.expert.data<std::int32_t>()[j]]++;
      if (at >= sent) fail(ErrorCode::kInternal, "dispatch plan: more kept choices than the table's ", sent);
      plan.send_token.data<std::int32_t>()[at] = t;
      plan.send_choice.data<std::int32_t>()[at] = j;
      plan.place.data<std::int32_t>()[j] = at;
      ++placed;
    }
  }
  if (placed != sent) fail(ErrorCode::kInternal, "dispatch plan: ", placed, " kept choices, the table says ", sent);
}

void plan_receives(const RowTable& rows, const Placement& placement, int rank, std::int64_t padded_rows,
                   DispatchPlan& plan, Arena& arena) {
  const int ranks = rows.ranks();
  const ExpertIds& mine = placement.experts_of(rank);
  const auto receive_rows = make_sizes(ranks, arena);
  plan.segments = arena.make<std::int32_t>({mine.count(), ranks, 2});
  plan.expert_offsets = arena.zeros<std::int32_t>({mine.count() + 1});
  auto* expert_offsets = plan.expert_offsets.data<std::int32_t>();
  std::int32_t begin = 0;
  for (int source = 0; source < ranks; ++source) {
    for (std::int64_t local = 0; local < mine.count(); ++local) {
      const std::int32_t count = rows.of(source)[mine[local]];
      std::int32_t* segment = plan.segments.data<std::int32_t>() + (local * ranks + source) * 2;
      segment[0] = begin;
      segment[1] = count;
      begin += count;
      expert_offsets[local + 1] += count;
      receive_rows[static_cast<std::size_t>(source)] += static_cast<std::size_t>(count);
    }
  }
  for (std::int64_t local = 1; padded_rows > 0 && local <= mine.count(); ++local) {
    if (expert_offsets[local] > padded_rows) {
      fail(ErrorCode::kInternal, "dispatch plan: an expert has ", expert_offsets[local], " rows, padded to ",
           padded_rows);
    }
    expert_offsets[local] = static_cast<std::int32_t>(padded_rows);
  }
  std::partial_sum(expert_offsets, expert_offsets + mine.count() + 1, expert_offsets);
  plan.receive_rows = receive_rows;
}

/// Where this rank's rows land: every expert's rows stand by (expert, source, token) at its holder.
void plan_landings(const RowTable& rows, const Placement& placement, int rank, std::int64_t padded_rows,
                   DispatchPlan& plan, Arena& arena) {
  const int ranks = rows.ranks();
  const std::int64_t experts = rows.experts();
  plan.send_offsets = arena.make<std::int32_t>({experts + 1});
  plan.landing = arena.make<std::int32_t>(plan.send_token.shape());
  plan.rows_at = arena.zeros<std::int32_t>({ranks});
  plan.first_place = arena.make<std::int32_t>({ranks + 1});
  auto *offsets = plan.send_offsets.data<std::int32_t>(), *rows_at = plan.rows_at.data<std::int32_t>();
  auto* first = plan.first_place.data<std::int32_t>();
  first[0] = 0;
  for (int r = 0; r < ranks; ++r) first[r + 1] = first[r] + static_cast<std::int32_t>(placement.experts_of(r).count());
  std::int32_t sent = 0;
  for_each_expert(placement, [&](std::int64_t e) {
    *offsets++ = sent;
    std::int32_t& begin = rows_at[placement.rank_of(e)];
    std::int32_t place = begin + static_cast<std::int32_t>(rows.before(rank, e));
    const std::int32_t end = sent + rows.of(rank)[e];
    while (sent < end) plan.landing.data<std::int32_t>()[sent++] = place++;
    begin += static_cast<std::int32_t>(padded_rows > 0 ? padded_rows : rows.total(e));
  });
  *offsets = sent;
}

}  // namespace

std::int64_t DispatchPlan::rows_received() const {
  return static_cast<std::int64_t>(std::accumulate(receive_rows.begin(), receive_rows.end(), std::size_t{0}));
}

std::int64_t DispatchPlan::expert_rows() const {
  return expert_offsets.data<std::int32_t>()[expert_offsets.elements() - 1];
}

DispatchPlan make_dispatch_plan(const Routing& routing, const Tensor& rows, const Placement& placement, int rank,
                                Arena& arena, std::int64_t padded_rows) {
  const RowTable table(rows);
  if (table.ranks() != placement.ranks() || table.experts() != routing.experts ||
      placement.experts() != routing.experts) {
    fail(ErrorCode::kInternal, "dispatch plan: a table of ", rows.shape().text(), " for ", placement.ranks(),
         " ranks and ", routing.experts, " experts");
  }
  DispatchPlan plan;
  plan_sends(routing, table.of(rank), placement, plan, arena);
  plan_receives(table, placement, rank, padded_rows, plan, arena);
  plan_landings(table, placement, rank, padded_rows, plan, arena);
  plan.most_rows = std::ranges::max(plan.rows_at.span<std::int32_t>());
  return plan;
}

std::int64_t most_rows(const Placement& placement, std::int64_t tokens, std::int64_t each, std::int64_t limit) {
  const std::int64_t held = placement.most_held();
  const std::int64_t chosen = tokens * std::min(each, held);
  return limit > 0 ? std::min(chosen, held * limit) : chosen;
}

DispatchPlanner::DispatchPlanner(const Placement& placement, int rank, const Stream& stream, bool by_message)
    : placement_(&placement), rank_(rank), stream_(&stream), by_message_(by_message), there_(placement, stream) {}

DispatchPlan DispatchPlanner::plan(const Routed& routed, const Tensor& rows, const PlannedRows& planned,
                                   Arena& arena) const {
  const Routing& routing = routed.routing;
  if (rows.on_host()) return make_dispatch_plan(routing, rows, *placement_, rank_, arena, planned.padded);
  const std::int64_t held = placement_->experts_of(rank_).count();
  const cuda::BucketPlaces buckets{arena.make<std::int32_t>({routing.experts}), arena.make<std::int32_t>({held + 1}),
                                   arena.make<std::int32_t>({held})};
  DispatchPlan plan;
  plan.offsets = routing.offsets;
  plan.most_rows = planned.most;
  plan.expert_offsets = buckets.row_offsets;
  plan.row_ends = buckets.row_ends;
  plan.padded_rows = planned.padded;
  plan.message_rows = planned.message;
  plan.first_place = there_.first();
  plan.places = {routing.offsets, arena.make<std::int32_t>(routing.expert.shape()),
                 arena.make<std::int32_t>(routing.expert.shape())};
  cuda::HolderRoom room;
  if (planned.overflow.elements() > 0) room = {planned.most, routed.lost, planned.overflow};
  cuda::place_buckets(rows, there_.holders(), rank_, planned.padded, buckets, *stream_, room);
  if (by_message_) {
    plan_messages(routed, rows, plan, arena);
  } else {
    cuda::scatter_buckets(routing.expert, routing.kept, routed.earlier, there_.holders(), buckets, plan.places,
                          *stream_);
  }
  return plan;
}

void DispatchPlanner::plan_messages(const Routed& routed, const Tensor& rows, DispatchPlan& plan, Arena& arena) const {
  const Routing& routing = routed.routing;
  const std::int64_t ranks = placement_->ranks(), held = placement_->experts_of(rank_).count();
  const cuda::BucketPlaces sent{arena.make<std::int32_t>({routing.experts}), {}, {}};
  cuda::place_buckets(rows.rows(rank_, 1), there_.holders(), 0, 0, sent, *stream_);
  cuda::scatter_buckets(routing.expert, routing.kept, routed.earlier, there_.holders(), sent, plan.places, *stream_);
  plan.arrivals = arena.make<std::int32_t>({held, ranks, 3});
  cuda::place_segments(rows, there_.holders(), rank_, plan.message_rows, plan.expert_offsets, plan.arrivals, *stream_);
  plan.sizes = arena.make<std::int32_t>({ranks, 2});
  cuda::size_messages(rows, there_.holders(), rank_, plan.sizes, *stream_);
}

}  // namespace coe
