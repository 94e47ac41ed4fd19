#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/collectives.h"
#include "runtime/exchange/exchange.h"
#include "runtime/exchange/row_mail.h"

namespace coe {

/// Rows are copied once. Between ranks of one machine a row is written to its final place at the expert's rank, and
/// what the expert makes of it is read from there by the rank that adds it up; a number raised in a window says that
/// rows are there, another that they are no longer needed, each counting the exchanges, so that no stale row is taken
/// for a new one. Other ranks are reached by mail. Windows grow by doubling and never shrink; every rank sees in the
/// plan that one must grow.
class OneCopyExchange : public Exchange {
 public:
  /// `group` is the expert-parallel group, `slots` how many dispatches can hold their rows at once, `in_flight` how
  /// many of them can have results that are not yet taken: those of slots that differ by it share one place. `rows` is
  /// how many a rank is expected to get in one dispatch: room for them is made at once, for none where it is 0.
  /// Collective.
  OneCopyExchange(Group group, std::int64_t hidden, int slots, int in_flight, std::int64_t rows = 0);

  void begin_dispatch(const DispatchPlan& plan, const Tensor& x, const Tensor& weights, const Tensor* scalar, int slot,
                      const Phase& phase) override;
  ExpertRows finish_dispatch(const DispatchPlan& plan, int slot, Arena& arena) override;
  ExpertRows result_rows(const DispatchPlan& plan, int slot, Arena& arena) override;
  void release(int slot) override;
  void begin_combine(const DispatchPlan& plan, int slot, const Phase& phase) override;
  void finish_combine(const DispatchPlan& plan, int slot, const Tensor& sum, const Tensor* scalar,
                      const TokensSummed& then) override;
  std::int64_t bytes_sent() const override { return bytes_sent_; }

  int growths() const override { return growths_; }
  /// Bytes of this rank's parts of all windows.
  std::size_t window_bytes() const;

 private:
  /// Rows with a scalar each, in a window; every rank has room for as many.
  struct Block {
    std::unique_ptr<Window> window;
    std::int64_t room = 0;
    std::uint64_t count = 0;  ///< exchanges that have used it
  };
  struct Slot {
    Block arrived;
    RowMail mail;
    Phase phase;
    Tensor weights;
    bool with_scalar = false, held = false;
    std::uint64_t number = 0;  ///< of its exchange among those of its results' place
  };
  /// Where experts leave results.
  struct Results {
    Block block;
    std::vector<std::uint64_t> told;  ///< [R] the last exchange that had rows of a home
  };
  enum Channel : int { kArrived, kReleased };      ///< of a slot
  enum ResultChannel : int { kReturned, kTaken };  ///< of a place for results

  Slot& slot_at(int slot) { return slots_.at(static_cast<std::size_t>(slot)); }
  Results& results_at(int slot) { return results_[static_cast<std::size_t>(slot) % results_.size()]; }
  int channel(int slot, Channel what) const { return 2 * slot + what; }
  int channel(int slot, ResultChannel what) const {
    return 2 * static_cast<int>(slots_.size() + static_cast<std::size_t>(slot) % results_.size()) + what;
  }
  bool mapped(int peer) const { return control_->of(peer) != nullptr; }

  void grow(Block& block, std::int64_t rows);
  ExpertRows rows_in(const Block& block, const DispatchPlan& plan, int rank, bool with_scalar) const;
  void write_rows(const DispatchPlan& plan, const Tensor& x, const Tensor* scalar, int slot);
  /// Where the result of every choice lies: nullptr where it was dropped.
  void find_results(const DispatchPlan& plan, int slot);
  /// Waits until every mapped rank that has `rows` with this one has raised `number` on `channel`.
  void wait_for(std::span<const std::size_t> rows, int channel, std::uint64_t number, const Phase& phase);
  void tell(std::span<const std::size_t> rows, int channel, std::uint64_t number) const;
  std::int64_t bytes_elsewhere(std::span<const std::size_t> rows, bool with_scalar) const;

  Group group_;
  std::int64_t hidden_;
  std::unique_ptr<Window> control_;
  Signals signals_;
  std::vector<Slot> slots_;
  std::vector<Results> results_;
  std::int64_t bytes_sent_ = 0;
  int growths_ = 0;
  std::vector<AwaitedSignal> awaited_;
  std::vector<const float*> rows_, scalars_;  ///< [choices]
};

}  // namespace coe
