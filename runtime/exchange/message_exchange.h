#pragma once

#include <cstdint>

#include "comm/group.h"
#include "runtime/exchange/exchange.h"
#include "runtime/exchange/flight_pool.h"

namespace coe {

/// Rows between devices that do not see one another's memory, as one message a peer: put together by (peer, expert,
/// token), received by (source, expert, token), and moved to their places by (expert, source, token). Where sizes are
/// not fixed a flight waits for its stream once, for the counts. `group` is the expert-parallel group, which has
/// messages; rows are of `dtype`. Views the stream.
class MessageExchange : public Exchange {
 public:
  MessageExchange(const Group& group, std::int64_t hidden, DType dtype, const Stream& stream);
  ~MessageExchange() override;

  Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) override;
  /// Padding of messages of fixed size among them.
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  /// Room is made for what a flight has.
  int growths() const override { return 0; }

 private:
  class Buffers;

  Group group_;
  std::int64_t hidden_;
  DType dtype_;
  const Stream* stream_;
  FlightPool<Buffers> flights_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace coe
