#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "runtime/ranks/placement.h"
#include "runtime/routing/routing.h"

namespace coe {

/// Which row goes where in one iteration: what this rank sends as a home of tokens, and what it receives as a holder of
/// experts.
///
/// Rows travel in blocks, one per (source, destination), ordered by (expert, token) inside. Views the step's Arena;
/// kept for the backward, whose rows take the same way.
struct DispatchPlan {
  Tensor send_token;    ///< int32 [sent]: token of each sent row, by (destination, expert, token)
  Tensor send_choice;   ///< int32 [sent]: its choice in the Routing
  Tensor offsets;       ///< int32 [T + 1]: the Routing's, token -> its choices in ascending expert id
  Tensor place;         ///< int32 [choices]: where a choice stands among the sent rows; -1 where it was dropped
  Tensor send_offsets;  ///< int32 [N + 1]: where the rows to each expert begin among the sent rows
  Tensor landing;       ///< int32 [sent]: where a sent row stands among all rows of its destination's experts
  Tensor rows_at;       ///< int32 [R]: expert_rows() of every rank
  Tensor first_expert;  ///< int32 [R + 1]: each rank's first expert
  std::span<const std::size_t> send_rows, receive_rows;  ///< [R] rows to and from each rank

  /// int32 [local experts, R, 2]: (begin, count) of the rows of (expert, source) in the landing order, which is by
  /// (source, expert, token); begin counts from the first row that arrives.
  Tensor segments;
  /// int32 [local experts + 1]: where each expert's rows begin when they are put together by (expert, source, token);
  /// padding stands behind them.
  Tensor expert_offsets;

  std::int64_t rows_sent() const { return send_token.elements(); }
  std::int64_t rows_received() const;
  /// Rows of all local experts, padding included.
  std::int64_t expert_rows() const;
};

/// The plan of `rank`: a pure function of its kept choices, of the kept rows of all ranks, int32 [R, N], and the
/// placement. With `padded_rows` every expert has as many rows, of which the last are zeros that do not travel. Throws
/// kInternal where the routing and the table disagree.
DispatchPlan make_dispatch_plan(const Routing& routing, const Tensor& rows, const Placement& placement, int rank,
                                Arena& arena, std::int64_t padded_rows = 0);

}  // namespace coe
