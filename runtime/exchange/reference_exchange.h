#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "comm/group.h"
#include "kernels/memory/arena.h"
#include "runtime/exchange/exchange.h"
#include "runtime/exchange/flight_pool.h"

namespace coe {

/// Pack, all-to-all, unpack, over any Transport: rows are copied into one block per peer, sent, and sorted into place
/// on arrival. The oracle for every faster Exchange.
class ReferenceExchange : public Exchange {
 public:
  /// `group` is the expert-parallel group.
  ReferenceExchange(Group group, std::int64_t hidden);
  ~ReferenceExchange() override;

  Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) override;
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  int growths() const override { return 0; }

 private:
  class Buffers;
  /// Rows and the floats beside them, one block per peer in rank order, in a buffer that only grows.
  struct Blocks {
    Buffer memory;
    Tensor rows, scalar;
    std::vector<Piece> pieces;  ///< two per peer
    std::vector<Message> messages;
    void lay_out(std::span<const std::size_t> rows_per_rank, std::int64_t hidden, bool with_scalar);
  };
  struct Posted : PostedMemory {
    Blocks sent, received;
  };

  Group group_;
  std::int64_t hidden_;
  FlightPool<Posted> posted_;
  FlightPool<Buffers> flights_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace coe
