#pragma once

#include <memory>
#include <ranges>
#include <set>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "comm/make_transport.h"
#include "kernels/memory/error.h"
#include "runtime/exchange/dispatch_plan.h"
#include "runtime/routing/admission.h"
#include "tests/runtime/exchange/exchange_case.h"
#include "tests/runtime/ranks/shuffled_placement.h"
#include "tests/runtime/routing/admitted.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {

/// Ends this rank's part of a case, and with it the others'.
inline void require(bool holds, const std::string& what) {
  if (!holds) fail(ErrorCode::kInternal, what);
}

template <class Got, class Wanted>
void require_equal(const std::string& what, const Got& got, const Wanted& wanted) {
  if (!std::ranges::equal(got, wanted)) require(false, fmt::format("{} is {}, must be {}", what, got, wanted));
}

/// A case seen from one rank.
struct CaseAtRank {
  CaseAtRank(ExchangeCase wanted, Transport& world)
      : one(std::move(wanted)),
        group{&world},
        rank(static_cast<std::size_t>(world.rank())),
        placement(one.seed % 2 == 0
                      ? Placement(one.layer.experts, world.size())
                      : shuffled_placement(one.layer.experts, world.size(), static_cast<unsigned>(one.seed))) {
    for (std::size_t before = 0; before < rank; ++before) first_token += one.tokens[before];
  }

  ExchangeCase one;
  Group group;
  std::size_t rank;
  Placement placement;
  std::int64_t first_token = 0;
};

/// One rank's view of one iteration: its routing after admission and its plan. Views the arena.
struct RoutedPass {
  std::int64_t iteration = 0;
  std::vector<Choices> by_rank;  ///< after the slow admission
  Routing routing;
  DispatchPlan plan;
  std::int64_t padded_rows = 0;
};

/// Admission and plan, and what must hold of them.
class PassRouter {
 public:
  /// Both are viewed.
  PassRouter(const CaseAtRank& at, Arena& arena) : at_(at), alone_(make_transport("local")), arena_(arena) {}

  RoutedPass route(std::int64_t iteration) {
    const CaseTraffic traffic = traffic_of(at_.one, iteration);
    RoutedPass pass;
    pass.iteration = iteration;
    pass.by_rank = by_rank_of(at_.one, traffic.admitted);
    const std::vector<Choices> wanted = by_rank_of(at_.one, traffic.wanted);
    const Tensor table = admitted_table(wanted, traffic, pass);
    require_routing(pass, table);
    pass.padded_rows = at_.one.layer.pad_to_capacity ? most_rows(at_.one.all_tokens()) : 0;
    pass.plan = make_dispatch_plan(pass.routing, table, at_.placement, at_.group.rank(), arena_, pass.padded_rows);
    require_plan(pass);
    return pass;
  }

 private:
  /// Capacity of one expert, where every rank of its own rounds up.
  std::int64_t most_rows(std::int64_t tokens) const {
    return capacity_of(at_.one.layer, tokens) + (at_.one.capacity_of_ranks() ? at_.one.ranks - 1 : 0);
  }

  Routed routed_of(const Choices& wanted, const CaseTraffic& traffic) {
    Routed routed;
    routed.routing = routing_of(at_.one.layer.experts, wanted, arena_);
    const std::int64_t tokens = std::ssize(wanted), experts = at_.one.layer.experts;
    routed.scores = arena_.make<float>({tokens, experts});
    routed.ranking = arena_.make<float>({tokens, experts});
    for (std::int64_t i = 0; i < tokens * experts; ++i) {
      const RankedToken& token = traffic.ranked[static_cast<std::size_t>(at_.first_token + i / experts)];
      const auto expert = static_cast<std::size_t>(i % experts);
      routed.scores.data<float>()[i] = static_cast<float>(token.scores[expert]);
      const double ranking = token.ranking[expert];
      routed.ranking.data<float>()[i] = std::isinf(ranking) ? kClosed : static_cast<float>(ranking);
    }
    return routed;
  }

  /// Runs the real admission; returns the rows of all ranks, [R, N].
  Tensor admitted_table(const std::vector<Choices>& wanted, const CaseTraffic& traffic, RoutedPass& pass) {
    const Routed routed = routed_of(wanted[at_.rank], traffic);
    if (!at_.one.capacity_of_ranks()) {
      const Tensor table = table_of(wanted, at_.one.layer.experts, false, arena_);
      pass.routing = admitted(at_.one.layer, at_.one.all_tokens(), routed, table, at_.group, arena_);
      return table;
    }
    const Tensor mine = table_of({wanted[at_.rank]}, at_.one.layer.experts, false, arena_);
    pass.routing = admitted(at_.one.layer, at_.one.tokens[at_.rank], routed, mine, {alone_.get()}, arena_);
    const Tensor table = arena_.make<std::int32_t>({at_.one.ranks, at_.one.layer.experts});
    all_gather<std::int32_t>(at_.group, mine.span<std::int32_t>(), table.span<std::int32_t>(), {"table"});
    return table;
  }

  /// What the slow admission decided, no expert over capacity, no token twice with one expert.
  void require_routing(RoutedPass& pass, const Tensor& table) {
    const Routing& routing = pass.routing;
    const Routing expected = routing_of(at_.one.layer.experts, pass.by_rank[at_.rank], arena_);
    const auto same = [&](const std::string& what, const auto& got, const auto& wanted) {
      require_equal(fmt::format("routing of iteration {}: {}", pass.iteration, what), got, wanted);
    };
    same("offsets", values_of<std::int32_t>(routing.offsets), values_of<std::int32_t>(expected.offsets));
    same("expert", values_of<std::int32_t>(routing.expert), values_of<std::int32_t>(expected.expert));
    same("kept", values_of<std::uint8_t>(routing.kept), values_of<std::uint8_t>(expected.kept));
    same("chosen", values_of<std::uint8_t>(routing.chosen), values_of<std::uint8_t>(expected.chosen));
    same("score", values_of<float>(routing.score), values_of<float>(expected.score));
    const Tensor rows = table_of(pass.by_rank, at_.one.layer.experts, true, arena_);
    same("rows", values_of<std::int32_t>(table), values_of<std::int32_t>(rows));
    require_capacity(table);
    pass.routing.weight = expected.weight;
  }

  void require_capacity(const Tensor& table) const {
    if (at_.one.layer.drop_policy == DropPolicy::kNone) return;
    for (std::int64_t e = 0; e < at_.one.layer.experts; ++e) {
      std::int64_t sum = 0;
      for (std::int64_t r = 0; r < at_.one.ranks; ++r) {
        const std::int64_t rows = table.data<std::int32_t>()[r * at_.one.layer.experts + e];
        const std::int64_t most = capacity_of(at_.one.layer, at_.one.tokens[static_cast<std::size_t>(r)]);
        require(!at_.one.capacity_of_ranks() || rows <= most, "a rank's rows of an expert exceed its capacity");
        sum += rows;
      }
      require(sum <= most_rows(at_.one.all_tokens()), "the rows of an expert exceed its capacity");
    }
  }

  /// Every kept choice has one place of its own, every place a choice, and what is sent is what is received.
  void require_plan(const RoutedPass& pass) const {
    const DispatchPlan& plan = pass.plan;
    std::set<std::int32_t> places;
    std::int64_t kept = 0;
    for (std::int64_t j = 0; j < pass.routing.choices(); ++j) {
      const std::int32_t place = plan.place.data<std::int32_t>()[j];
      const bool stays = pass.routing.kept.data<std::uint8_t>()[j] != 0;
      require((place >= 0) == stays, "a choice without a place has one, or the other way round");
      if (!stays) continue;
      ++kept;
      require(place < plan.rows_sent() && places.insert(place).second, "two choices share a place");
      require(plan.send_choice.data<std::int32_t>()[place] == j, "a place names another choice");
    }
    require(kept == plan.rows_sent(), "rows are sent that no choice asks for");
    const std::size_t ranks = plan.send_rows.size();
    std::vector<std::size_t> all(ranks * ranks), announced;
    all_gather<std::size_t>(at_.group, plan.send_rows, all, {"plans"});
    for (std::size_t source = 0; source < ranks; ++source) announced.push_back(all[source * ranks + at_.rank]);
    require_equal("receive_rows", plan.receive_rows, announced);
  }

  const CaseAtRank& at_;
  std::unique_ptr<Transport> alone_;
  Arena& arena_;
};

}  // namespace coe
