#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "comm/collectives.h"
#include "kernels/memory/buffer.h"
#include "runtime/exchange/exchange.h"

namespace coe {

/// Pack, all-to-all, unpack, over any Transport: rows are copied into one block per peer, sent, and sorted into place
/// on arrival. The oracle for every faster Exchange.
class ReferenceExchange : public Exchange {
 public:
  /// `group` is the expert-parallel group; `slots` is how many exchanges can be in flight.
  ReferenceExchange(Group group, std::int64_t hidden, int slots);

  void begin_dispatch(const DispatchPlan& plan, const Tensor& x, const Tensor& weights, const Tensor* scalar, int slot,
                      const Phase& phase) override;
  ExpertRows finish_dispatch(const DispatchPlan& plan, int slot, Arena& arena) override;
  ExpertRows result_rows(const DispatchPlan& plan, int slot, Arena& arena) override;
  void release(int /*slot*/) override {}
  void begin_combine(const DispatchPlan& plan, int slot, const Phase& phase) override;
  void finish_combine(const DispatchPlan& plan, int slot, const Tensor& sum, const Tensor* scalar,
                      const TokensSummed& then) override;
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  int growths() const override { return 0; }

 private:
  /// Rows and the floats beside them, one block per peer in rank order, in a buffer that only grows.
  struct Blocks {
    Buffer memory;
    Tensor rows, scalar;
    std::vector<Piece> pieces;  ///< two per peer
    std::vector<Message> messages;
    void lay_out(std::span<const std::size_t> rows_per_rank, std::int64_t hidden, bool with_scalar);
  };
  struct Slot {
    Blocks sent, received;
    Ticket ticket;
    Phase phase;
    Tensor weights;
    bool with_scalar = false;
    ExpertRows results;
  };

  Slot& slot_at(int slot) { return slots_.at(static_cast<std::size_t>(slot)); }
  void post(Slot& slot);

  Group group_;
  std::int64_t hidden_;
  std::vector<Slot> slots_;
  std::int64_t bytes_sent_ = 0;
  std::vector<const float*> rows_;  ///< [choices] what came back for each
};

}  // namespace coe
