#pragma once

#include <cstdint>

#include "runtime/exchange/exchange.h"
#include "runtime/exchange/flight_pool.h"
#include "runtime/exchange/one_copy_exchange.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// Sends a token once to every rank that holds experts of its, and brings one sum back from each: the rank adds up its
/// own experts' results in ascending expert id, home adds up the ranks' sums in ascending rank. Fewer bytes than an
/// exchange of rows, but the bits of sums depend on which experts share a rank.
///
/// Two exchanges in one: tokens travel by a plan whose experts are the ranks, made from a table [R, R] that is gathered
/// for each flight; beside them every kept choice travels by the plan given, as the number of its token and its weight
/// or scalar. The rank of the experts copies each token that came into their rows.
class PartialSumsExchange : public Exchange {
 public:
  /// `group` is the expert-parallel group. Collective.
  PartialSumsExchange(Group group, std::int64_t hidden);
  ~PartialSumsExchange() override;

  Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) override;
  int growths() const override { return tokens_.growths() + choices_.growths(); }
  std::int64_t bytes_sent() const override { return tokens_.bytes_sent() + choices_.bytes_sent(); }

 private:
  class Buffers;

  Group group_;
  std::int64_t hidden_;
  Placement ranks_;  ///< as many experts as ranks
  OneCopyExchange tokens_, choices_;
  FlightPool<Buffers> flights_;
};

}  // namespace coe
