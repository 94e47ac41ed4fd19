#pragma once

#include "kernels/memory/arena.h"
#include "runtime/exchange/dispatch_plan.h"
#include "runtime/routing/routing.h"

namespace coe {

/// The kept choices of a plan's own tokens as a Routing whose experts are the ranks: each token once for every rank
/// that holds experts of its, in ascending rank. It has neither weights nor scores.
Routing route_to_ranks(const DispatchPlan& plan, Arena& arena);

/// Which rows of this rank's experts belong to each token that came here.
struct TokenRows {
  Tensor offsets;  ///< int32 [tokens + 1]: by (source, token)
  Tensor row;      ///< int32 [rows received]: places among the experts' rows, per token in ascending expert id
};

/// Finds them: ids [expert_rows()] holds the token of each expert row, counted by its source, as the bits of a float;
/// padding is not looked at. `by_rank` is the plan of route_to_ranks' Routing. Throws kInternal where the two plans
/// disagree.
TokenRows find_token_rows(const DispatchPlan& plan, const DispatchPlan& by_rank, const Tensor& ids, Arena& arena);

}  // namespace coe
