#pragma once

#include <cstdint>
#include <functional>

#include "comm/collectives.h"
#include "kernels/memory/arena.h"
#include "runtime/exchange/dispatch_plan.h"

namespace coe {

/// Rows of this rank's experts, put together by (expert, source, token): expert l has [offsets[l], offsets[l + 1]).
struct ExpertRows {
  Tensor rows;     ///< fp32 [n, D]
  Tensor scalar;   ///< fp32 [n], one beside each row; empty where none travels
  Tensor offsets;  ///< int32 [local experts + 1]
};

/// Told of tokens [first, first + count) as soon as their sums are complete, while these are in a near cache.
using TokensSummed = std::function<void(std::int64_t first, std::int64_t count)>;

/// Moves rows, and one float beside each where asked, by plan over a Transport. What begin_ issues, finish_ completes;
/// every rank of the group calls all of them in one order. A slot is one exchange with buffers of its own. Sums are
/// taken in ascending expert id, which gives the same bits at any number of ranks, unless an Exchange says otherwise.
class Exchange {
 public:
  virtual ~Exchange() = default;

  /// Sends row x[t] of x [T, D], and scalar[j] of scalar [choices] unless that is nullptr (on all ranks alike), for
  /// every kept choice j of token t. `weights` [choices] are those of finish_combine's sum; an empty tensor (on all
  /// ranks alike, and always where scalars travel) means 1. x and scalar may change only after finish_dispatch, weights
  /// after finish_combine.
  virtual void begin_dispatch(const DispatchPlan& plan, const Tensor& x, const Tensor& weights, const Tensor* scalar,
                              int slot, const Phase& phase) = 0;
  /// The rows that arrived; they live in the arena or in the slot, until that is released.
  virtual ExpertRows finish_dispatch(const DispatchPlan& plan, int slot, Arena& arena) = 0;
  /// Where the results go, in the order of the rows that arrived; with a scalar each where the slot's dispatch had
  /// some.
  virtual ExpertRows result_rows(const DispatchPlan& plan, int slot, Arena& arena) = 0;
  /// The rows that arrived in the slot are no longer needed; the slot's next begin_dispatch says so too.
  virtual void release(int slot) = 0;

  /// Sends the results back to where the rows came from.
  virtual void begin_combine(const DispatchPlan& plan, int slot, const Phase& phase) = 0;
  /// sum [T, D] (overwritten) = w_j times the row of choice j, per token in the exchange's order; `then`, unless empty,
  /// is told of every token once, in ascending order. Where scalars travelled, scalar[j] of scalar [choices] becomes
  /// what came back, 0 for a dropped choice; else it is nullptr.
  virtual void finish_combine(const DispatchPlan& plan, int slot, const Tensor& sum, const Tensor* scalar,
                              const TokensSummed& then) = 0;

  /// Bytes of rows and scalars that this rank has sent to other ranks so far.
  virtual std::int64_t bytes_sent() const = 0;
  /// How often memory that it keeps was too small.
  virtual int growths() const = 0;
};

}  // namespace coe
