#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "comm/make_transport.h"
#include "kernels/error.h"
#include "kernels/rows.h"
#include "runtime/admission.h"
#include "runtime/dispatch_plan.h"
#include "runtime/exchange.h"
#include "tests/runtime/exchange_case.h"
#include "tests/runtime/tensors.h"

namespace coe {

/// What every Exchange is held to: makes one for a group, rows of `hidden` floats and so many in flight.
using ExchangeFactory = std::function<std::unique_ptr<Exchange>(Group group, std::int64_t hidden, int slots)>;

/// Ends this rank's part of a case, and with it the others'.
inline void require(bool holds, const std::string& what) {
  if (!holds) fail(ErrorCode::kInternal, what);
}

template <class Got, class Wanted>
void require_equal(const std::string& what, const Got& got, const Wanted& wanted) {
  if (!std::ranges::equal(got, wanted)) require(false, fmt::format("{} is {}, must be {}", what, got, wanted));
}

/// Row and scalar of a choice, numbers that say whose they are and whose sums are rounded; expert e returns (e + 1)
/// times the one and e more than the other.
inline float row_value(std::int64_t token, std::int64_t d, std::int64_t iteration) {
  return static_cast<float>(token + 64 * d + 512 * iteration) + 1.1F;
}
inline float scalar_value(std::int64_t token, std::int64_t expert, std::int64_t iteration) {
  return static_cast<float>(16 * token + expert + 1024 * iteration + 1);
}

/// One rank's view of one iteration: its routing after admission and its plan. Views the arena.
struct RoutedPass {
  std::int64_t iteration = 0;
  std::vector<Choices> by_rank;  ///< after the slow admission
  Routing routing;
  DispatchPlan plan;
  std::int64_t padded_rows = 0;
};

/// One case on one rank.
class CaseOnRank {
 public:
  CaseOnRank(ExchangeCase one, Transport& world)
      : case_(std::move(one)),
        group_{&world},
        alone_(make_transport("local")),
        rank_(static_cast<std::size_t>(world.rank())),
        placement_(case_.layer.experts, world.size()) {
    for (std::size_t rank = 0; rank < rank_; ++rank) first_token_ += case_.tokens[rank];
  }

  /// Admission, plan, dispatch and combine of all iterations; then backward, with a scalar beside each row.
  void run(const ExchangeFactory& make_exchange) {
    try {
      run_passes(make_exchange);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}; {}", error.what(), case_.text()));
    }
  }

 private:
  void run_passes(const ExchangeFactory& make_exchange) {
    std::vector<RoutedPass> passes;
    for (std::int64_t t = 0; t < case_.layer.iterations; ++t) passes.push_back(route(t));
    const auto exchange = make_exchange(group_, case_.layer.hidden, case_.slots);
    for_each_flight(passes, [&](std::span<RoutedPass> flight) { fly(flight, false, *exchange); });
    std::ranges::reverse(passes);
    for_each_flight(passes, [&](std::span<RoutedPass> flight) { fly(flight, true, *exchange); });
  }

  /// As many passes at a time as there are slots.
  template <class Fly>
  void for_each_flight(std::vector<RoutedPass>& passes, const Fly& fly_one) {
    const auto slots = static_cast<std::size_t>(case_.slots);
    for (std::size_t first = 0; first < passes.size(); first += slots) {
      fly_one(std::span(passes).subspan(first, std::min(slots, passes.size() - first)));
    }
  }

  RoutedPass route(std::int64_t iteration) {
    const CaseTraffic traffic = traffic_of(case_, iteration);
    RoutedPass pass;
    pass.iteration = iteration;
    pass.by_rank = by_rank_of(case_, traffic.admitted);
    const std::vector<Choices> wanted = by_rank_of(case_, traffic.wanted);
    const Tensor table = admitted_table(wanted, traffic, pass);
    require_routing(pass, table);
    pass.padded_rows = case_.layer.pad_to_capacity ? most_rows(case_.all_tokens()) : 0;
    pass.plan = make_dispatch_plan(pass.routing, table, placement_, group_.rank(), arena_, pass.padded_rows);
    require_plan(pass);
    return pass;
  }

  /// Capacity of one expert, where every rank of its own rounds up.
  std::int64_t most_rows(std::int64_t tokens) const {
    return capacity_of(case_.layer, tokens) + (case_.capacity_of_ranks() ? case_.ranks - 1 : 0);
  }

  Routed routed_of(const Choices& wanted, const CaseTraffic& traffic) {
    Routed routed;
    routed.routing = routing_of(case_.layer.experts, wanted, arena_);
    const std::int64_t tokens = std::ssize(wanted), experts = case_.layer.experts;
    routed.scores = arena_.make<float>({tokens, experts});
    routed.ranking = arena_.make<float>({tokens, experts});
    for (std::int64_t i = 0; i < tokens * experts; ++i) {
      const RankedToken& token = traffic.ranked[static_cast<std::size_t>(first_token_ + i / experts)];
      const auto expert = static_cast<std::size_t>(i % experts);
      routed.scores.data<float>()[i] = static_cast<float>(token.scores[expert]);
      const double ranking = token.ranking[expert];
      routed.ranking.data<float>()[i] = std::isinf(ranking) ? kClosed : static_cast<float>(ranking);
    }
    return routed;
  }

  /// Runs the real admission; returns the rows of all ranks, [R, N].
  Tensor admitted_table(const std::vector<Choices>& wanted, const CaseTraffic& traffic, RoutedPass& pass) {
    const Routed routed = routed_of(wanted[rank_], traffic);
    const Phase phase{"admission"};
    if (!case_.capacity_of_ranks()) {
      const Tensor table = table_of(wanted, case_.layer.experts, false, arena_);
      pass.routing = admit(case_.layer, case_.all_tokens(), routed, table, group_, phase, arena_);
      return table;
    }
    const Tensor mine = table_of({wanted[rank_]}, case_.layer.experts, false, arena_);
    pass.routing = admit(case_.layer, case_.tokens[rank_], routed, mine, {alone_.get()}, phase, arena_);
    const Tensor table = arena_.make<std::int32_t>({case_.ranks, case_.layer.experts});
    all_gather<std::int32_t>(group_, mine.span<std::int32_t>(), table.span<std::int32_t>(), phase);
    return table;
  }

  /// What the slow admission decided, no expert over capacity, no token twice with one expert.
  void require_routing(RoutedPass& pass, const Tensor& table) {
    const Routing& routing = pass.routing;
    const Routing expected = routing_of(case_.layer.experts, pass.by_rank[rank_], arena_);
    const auto same = [&](const std::string& what, const auto& got, const auto& wanted) {
      require_equal(fmt::format("routing of iteration {}: {}", pass.iteration, what), got, wanted);
    };
    same("offsets", values_of<std::int32_t>(routing.offsets), values_of<std::int32_t>(expected.offsets));
    same("expert", values_of<std::int32_t>(routing.expert), values_of<std::int32_t>(expected.expert));
    same("kept", values_of<std::uint8_t>(routing.kept), values_of<std::uint8_t>(expected.kept));
    same("chosen", values_of<std::uint8_t>(routing.chosen), values_of<std::uint8_t>(expected.chosen));
    same("score", values_of<float>(routing.score), values_of<float>(expected.score));
    const Tensor rows = table_of(pass.by_rank, case_.layer.experts, true, arena_);
    same("rows", values_of<std::int32_t>(table), values_of<std::int32_t>(rows));
    require_capacity(table);
    pass.routing.weight = expected.weight;
  }

  void require_capacity(const Tensor& table) const {
    if (case_.layer.drop_policy == DropPolicy::kNone) return;
    for (std::int64_t e = 0; e < case_.layer.experts; ++e) {
      std::int64_t sum = 0;
      for (std::int64_t r = 0; r < case_.ranks; ++r) {
        const std::int64_t rows = table.data<std::int32_t>()[r * case_.layer.experts + e];
        const std::int64_t most = capacity_of(case_.layer, case_.tokens[static_cast<std::size_t>(r)]);
        require(!case_.capacity_of_ranks() || rows <= most, "a rank's rows of an expert exceed its capacity");
        sum += rows;
      }
      require(sum <= most_rows(case_.all_tokens()), "the rows of an expert exceed its capacity");
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
    all_gather<std::size_t>(group_, plan.send_rows, all, {"plans"});
    for (std::size_t source = 0; source < ranks; ++source) announced.push_back(all[source * ranks + rank_]);
    require_equal("receive_rows", plan.receive_rows, announced);
  }

  /// Sends a flight's passes at once, lets the experts work, and brings the rows back at once.
  void fly(std::span<RoutedPass> flight, bool with_scalar, Exchange& exchange) {
    const std::int64_t bytes_before = exchange.bytes_sent();
    std::vector<Tensor> x, scalars;
    for (const RoutedPass& pass : flight) {
      x.push_back(rows_of(pass));
      scalars.push_back(scalars_of(pass));
      exchange.begin_dispatch(pass.plan, x.back(), with_scalar ? &scalars.back() : nullptr, slot_of(pass),
                              {"dispatch"});
    }
    std::vector<ExpertRows> arrived;
    for (const RoutedPass& pass : flight) {
      arrived.push_back(exchange.finish_dispatch(pass.plan, slot_of(pass), arena_));
      require_arrived(pass, arrived.back(), with_scalar);
      apply_experts(arrived.back());
    }
    for (std::size_t i = 0; i < flight.size(); ++i) {
      exchange.begin_combine(flight[i].plan, arrived[i], slot_of(flight[i]), {"combine"});
    }
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < flight.size(); ++i) {
      std::ranges::fill(x[i].span<float>(), 0.5F);
      exchange.finish_combine(flight[i].plan, with_scalar ? Tensor() : flight[i].routing.weight, slot_of(flight[i]),
                              x[i], with_scalar ? &scalars[i] : nullptr);
      require_returned(flight[i], x[i], scalars[i], with_scalar);
      rows += travelling_rows(flight[i]);
    }
    const std::int64_t bytes = rows * (case_.layer.hidden + (with_scalar ? 1 : 0)) * 4;
    require(exchange.bytes_sent() - bytes_before == bytes, "bytes_sent counts other bytes than travelled");
  }

  int slot_of(const RoutedPass& pass) const { return static_cast<int>(pass.iteration) % case_.slots; }

  Tensor rows_of(const RoutedPass& pass) {
    const std::int64_t hidden = case_.layer.hidden;
    const Tensor x = arena_.make<float>({case_.tokens[rank_], hidden});
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      x.data<float>()[i] = row_value(first_token_ + i / hidden, i % hidden, pass.iteration);
    }
    return x;
  }

  Tensor scalars_of(const RoutedPass& pass) {
    std::vector<float> values;
    for (std::size_t t = 0; t < pass.by_rank[rank_].size(); ++t) {
      const std::int64_t token = first_token_ + static_cast<std::int64_t>(t);
      for (const Choice& choice : pass.by_rank[rank_][t]) {
        values.push_back(scalar_value(token, choice.expert, pass.iteration));
      }
    }
    return tensor_of<float>({std::ssize(values)}, values, arena_);
  }

  /// Each local expert's rows by (source, token), then its padding.
  void require_arrived(const RoutedPass& pass, const ExpertRows& arrived, bool with_scalar) const {
    std::vector<float> rows, scalars;
    std::vector<std::int32_t> offsets{0};
    const Share mine = placement_.experts_of(group_.rank());
    for (std::int64_t e = mine.first; e < mine.first + mine.count; ++e) {
      std::int64_t token = 0, count = 0;
      for (const std::vector<Choice>& choices : pass.by_rank | std::views::join) {
        for (const Choice& choice : choices) {
          if (!choice.kept || choice.expert != e) continue;
          for (std::int64_t d = 0; d < case_.layer.hidden; ++d) rows.push_back(row_value(token, d, pass.iteration));
          if (with_scalar) scalars.push_back(scalar_value(token, e, pass.iteration));
          ++count;
        }
        ++token;
      }
      const std::int64_t all = pass.padded_rows > 0 ? pass.padded_rows : count;
      rows.resize(rows.size() + static_cast<std::size_t>((all - count) * case_.layer.hidden));
      if (with_scalar) scalars.resize(scalars.size() + static_cast<std::size_t>(all - count));
      offsets.push_back(offsets.back() + static_cast<std::int32_t>(all));
    }
    const std::string where = fmt::format("at rank {} in iteration {}", rank_, pass.iteration);
    require_equal("offsets " + where, values_of<std::int32_t>(arrived.offsets), offsets);
    require_equal("rows " + where, values_of<float>(arrived.rows), rows);
    require_equal("scalars " + where, values_of<float>(arrived.scalar), scalars);
  }

  void apply_experts(const ExpertRows& rows) const {
    const Share mine = placement_.experts_of(group_.rank());
    const auto* offsets = rows.offsets.data<std::int32_t>();
    for (std::int64_t local = 0; local < mine.count; ++local) {
      const auto id = static_cast<float>(mine.first + local);
      const std::int64_t first = offsets[local], count = offsets[local + 1] - first;
      for (float& value : rows.rows.rows(first, count).span<float>()) value *= id + 1;
      if (rows.scalar.elements() == 0) continue;
      for (float& value : rows.scalar.rows(first, count).span<float>()) value += id;
    }
  }

  /// The sums to the bit: what experts make of each token, added up in ascending expert id.
  void require_returned(const RoutedPass& pass, const Tensor& sum, const Tensor& scalars, bool with_scalar) {
    const std::int64_t hidden = case_.layer.hidden;
    const Tensor rows = arena_.make<float>({pass.routing.choices(), hidden});
    const Tensor place = arena_.make<std::int32_t>({pass.routing.choices()});
    std::vector<float> returned;
    std::int32_t j = 0;
    for (std::size_t t = 0; t < pass.by_rank[rank_].size(); ++t) {
      const std::int64_t token = first_token_ + static_cast<std::int64_t>(t);
      for (const Choice& choice : pass.by_rank[rank_][t]) {
        const auto id = static_cast<float>(choice.expert);
        for (std::int64_t d = 0; d < hidden; ++d) {
          rows.data<float>()[j * hidden + d] = row_value(token, d, pass.iteration) * (id + 1);
        }
        place.data<std::int32_t>()[j] = choice.kept ? j : -1;
        returned.push_back(choice.kept ? scalar_value(token, choice.expert, pass.iteration) + id : 0);
        ++j;
      }
    }
    const Tensor expected = arena_.make<float>(sum.shape());
    std::ranges::fill(expected.span<float>(), 0.5F);
    combine_rows(rows, pass.routing.offsets, place, with_scalar ? Tensor() : pass.routing.weight, expected);
    const std::string where = fmt::format("at rank {} in iteration {}", rank_, pass.iteration);
    require_equal("sum " + where, values_of<float>(sum), values_of<float>(expected));
    if (with_scalar) require_equal("returned scalars " + where, values_of<float>(scalars), returned);
  }

  /// This rank's rows to other ranks' experts, and other ranks' rows that come back from its own.
  std::int64_t travelling_rows(const RoutedPass& pass) const {
    std::int64_t rows = 0;
    for (std::size_t source = 0; source < pass.by_rank.size(); ++source) {
      for (const std::vector<Choice>& token : pass.by_rank[source]) {
        for (const Choice& choice : token) {
          const auto holder = static_cast<std::size_t>(placement_.rank_of(choice.expert));
          if (choice.kept && source != holder && (source == rank_ || holder == rank_)) ++rows;
        }
      }
    }
    return rows;
  }

  ExchangeCase case_;
  Group group_;
  std::unique_ptr<Transport> alone_;
  std::size_t rank_;
  Placement placement_;
  std::int64_t first_token_ = 0;
  Arena arena_;
};

/// What is wrong with a case over thread ranks; nothing where all holds.
inline std::optional<std::string> broken(const ExchangeCase& one, const ExchangeFactory& make_exchange) {
  try {
    run_local_ranks(one.ranks, [&](Transport& world) { CaseOnRank(one, world).run(make_exchange); });
  } catch (const std::exception& error) {
    return error.what();
  }
  return std::nullopt;
}

/// Cases that are smaller in one way.
inline std::vector<ExchangeCase> smaller_cases(const ExchangeCase& one) {
  std::vector<ExchangeCase> smaller;
  const auto add = [&](const auto& change) {
    ExchangeCase other = one;
    change(other);
    if (other.text() != one.text()) smaller.push_back(other);
  };
  add([](ExchangeCase& other) { other.layer.iterations = 1; });
  add([](ExchangeCase& other) { other.slots = 1; });
  add([](ExchangeCase& other) { other.layer.hidden = 1; });
  add([](ExchangeCase& other) { other.layer.reroute_rounds = 0; });
  add([](ExchangeCase& other) { other.layer.pad_to_capacity = false; });
  add([](ExchangeCase& other) { other.layer.top_k = 1; });
  if (one.ranks > 1) {
    add([](ExchangeCase& other) {
      --other.ranks;
      other.tokens.pop_back();
    });
  }
  for (std::size_t rank = 0; rank < one.tokens.size(); ++rank) {
    add([&](ExchangeCase& other) { other.tokens[rank] /= 2; });
    add([&](ExchangeCase& other) { other.tokens[rank] -= other.tokens[rank] > 0 ? 1 : 0; });
  }
  return smaller;
}

/// The smallest case that is still wrong, and how.
inline std::string shrunk(ExchangeCase one, const ExchangeFactory& make_exchange) {
  std::optional<std::string> wrong = broken(one, make_exchange);
  if (!wrong) return "holds when run again over threads; " + one.text();
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (const ExchangeCase& other : smaller_cases(one)) {
      const std::optional<std::string> still = broken(other, make_exchange);
      if (!still) continue;
      one = other;
      wrong = still;
      smaller = true;
      break;
    }
  }
  return *wrong;
}

}  // namespace coe
