#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "kernels/routing/rows.h"
#include "runtime/ranks/placement.h"
#include "runtime/ranks/stream_placement.h"
#include "runtime/routing/router.h"

namespace coe {

/// Which row goes where in one iteration: what this rank sends as a home of tokens, and what it receives as a holder of
/// experts.
///
/// Rows travel in blocks, one per (source, destination), ordered by (expert, token) inside, and stand at the holder by
/// (expert, source, token). Views the step's Arena; kept for the backward, whose rows take the same way.
struct DispatchPlan {
  Tensor offsets;              ///< int32 [T + 1]: the Routing's, token -> its choices in ascending expert id
  std::int64_t most_rows = 0;  ///< that any rank has; all hosts know the same, where none knows better a bound
  /// int32 [local experts + 1]: where each expert's rows begin when they are put together by (expert, source, token);
  /// padding stands behind them.
  Tensor expert_offsets;

  // Where the host cannot read it, this says the rest:
  cuda::RowPlaces places;  ///< of every choice's row; where only messages travel, among this rank's rows for its holder
  Tensor row_ends;         ///< int32 [local experts]: where padding begins
  std::int64_t padded_rows = 0;  ///< of each expert, 0: none are padded

  // and where only messages travel, this:
  Tensor sizes;                   ///< int32 [R, 2]: rows that this rank sends to each rank, and gets from it
  std::int64_t message_rows = 0;  ///< of every message, of which the last mean nothing; 0: as many as sizes says
  Tensor arrivals;  ///< int32 [local experts, R, 3]: the segments (kernels/routing/segments.h) of what arrives

  // and where it can, this:
  Tensor send_token;    ///< int32 [sent]: token of each sent row, by (destination, expert, token)
  Tensor send_choice;   ///< int32 [sent]: its choice in the Routing
  Tensor place;         ///< int32 [choices]: where a choice stands among the sent rows; -1 where it was dropped
  Tensor send_offsets;  ///< int32 [N + 1]: where the rows to each expert begin, by (holder, local order)
  Tensor landing;       ///< int32 [sent]: where a sent row stands among all rows of its destination's experts
  Tensor rows_at;       ///< int32 [R]: expert_rows() of every rank
  Tensor first_place;   ///< int32 [R + 1] on the host, always: where each rank's experts begin in that order
  std::span<const std::size_t> send_rows, receive_rows;  ///< [R] rows to and from each rank

  /// int32 [local experts, R, 2]: (begin, count) of the rows of (expert, source) in the landing order, which is by
  /// (source, expert, token); begin counts from the first row that arrives.
  Tensor segments;

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

/// The most rows that any rank's experts can get from `tokens` tokens of all ranks that choose `each` experts, with no
/// expert taking more than `limit` (0: any number) in all.
std::int64_t most_rows(const Placement& placement, std::int64_t tokens, std::int64_t each, std::int64_t limit);

/// What is known of rows before they are routed.
struct PlannedRows {
  std::int64_t most = 0;     ///< bounds those of any rank where the host cannot read them
  std::int64_t padded = 0;   ///< of each expert, 0: none are padded
  std::int64_t message = 0;  ///< of every message where sizes are fixed, else 0
  Tensor overflow = {};  ///< int32 [1]: not empty where more may come, for which nothing is made room; becomes 1 then,
                         ///< the plan is one of no rows, and Routed::lost makes its sums NaN
};

/// Makes the plans of one rank, of routings on any device. Views placement and stream.
class DispatchPlanner {
 public:
  /// `by_message`: on a device whose memory peers do not see.
  DispatchPlanner(const Placement& placement, int rank, const Stream& stream, bool by_message = false);

  /// From the rows of all ranks, int32 [R, N], which routed.counts are part of.
  DispatchPlan plan(const Routed& routed, const Tensor& rows, const PlannedRows& planned, Arena& arena) const;

 private:
  /// How rows travel where no rank sees another's memory.
  void plan_messages(const Routed& routed, const Tensor& rows, DispatchPlan& plan, Arena& arena) const;

  const Placement* placement_;
  int rank_;
  const Stream* stream_;
  bool by_message_;
  StreamPlacement there_;
};

}  // namespace coe
