#pragma once

#include <cstdint>
#include <vector>

#include "kernels/memory/arena.h"
#include "runtime/exchange/exchange.h"
#include "runtime/exchange/one_copy_exchange.h"
#include "runtime/exchange/tokens_by_rank.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// Sends a token once to every rank that holds experts of its, and brings one sum back from each: the rank adds up its
/// own experts' results in ascending expert id, home adds up the ranks' sums in ascending rank. Fewer bytes than an
/// exchange of rows, but the bits of sums depend on which experts share a rank.
///
/// Two exchanges in one: tokens travel by a plan whose experts are the ranks, made from a table [R, R] that is
/// all-gathered for each dispatch; beside them every kept choice travels by the plan given, as the number of its token
/// and its weight or scalar. The rank of the experts copies each token that came into their rows.
class PartialSumsExchange : public Exchange {
 public:
  /// `group` is the expert-parallel group, `in_flight` how many exchanges can be between begin_dispatch and
  /// finish_combine: those of slots that differ by it share one place. Rows that arrived live in the arena. Collective.
  PartialSumsExchange(Group group, std::int64_t hidden, int in_flight);

  void begin_dispatch(const DispatchPlan& plan, const Tensor& x, const Tensor& weights, const Tensor* scalar, int slot,
                      const Phase& phase) override;
  ExpertRows finish_dispatch(const DispatchPlan& plan, int slot, Arena& arena) override;
  ExpertRows result_rows(const DispatchPlan& plan, int slot, Arena& arena) override;
  void release(int /*slot*/) override {}
  void begin_combine(const DispatchPlan& plan, int slot, const Phase& phase) override;
  void finish_combine(const DispatchPlan& plan, int slot, const Tensor& sum, const Tensor* scalar,
                      const TokensSummed& then) override;
  int growths() const override { return tokens_.growths() + choices_.growths(); }
  std::int64_t bytes_sent() const override { return tokens_.bytes_sent() + choices_.bytes_sent(); }

 private:
  /// One exchange from begin_dispatch to finish_combine.
  struct Flight {
    Arena arena;           ///< of all below
    DispatchPlan by_rank;  ///< of the tokens
    Tensor ids;            ///< [T, 1] this rank's tokens' numbers, as bits
    bool with_scalar = false;
    Tensor beside;  ///< [expert rows] what travelled beside the choices: a scalar, or else their weight
    TokenRows rows;
    Tensor results;  ///< [expert rows, D]
  };

  int place_of(int slot) const { return slot % static_cast<int>(flights_.size()); }
  Flight& flight_at(int slot) { return flights_[static_cast<std::size_t>(place_of(slot))]; }
  DispatchPlan plan_by_rank(const DispatchPlan& plan, Arena& arena, const Phase& phase) const;
  void add_up(Flight& flight, const Tensor& sums);

  Group group_;
  std::int64_t hidden_;
  Placement ranks_;  ///< as many experts as ranks
  OneCopyExchange tokens_, choices_;
  std::vector<Flight> flights_;
  std::vector<const float*> results_;  ///< [rows received] by (token, expert)
};

}  // namespace coe
