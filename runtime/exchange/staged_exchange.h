#pragma once

#include <cstdint>

#include "comm/group.h"
#include "runtime/exchange/exchange.h"
#include "runtime/exchange/flight_pool.h"

namespace coe {

/// Rows between devices that do not see one another's memory: put together by expert on the device, copied to the host,
/// sent as one message a peer, received at their final place, and copied to the device. A flight waits for its stream
/// four times. Plans are made by message (DispatchPlanner). `group` is the expert-parallel group, whose ranks hold
/// contiguous runs of experts; rows are of `dtype`. Views the stream.
class StagedExchange : public Exchange {
 public:
  StagedExchange(const Group& group, std::int64_t hidden, DType dtype, const Stream& stream);
  ~StagedExchange() override;

  /// Waits for the stream.
  Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) override;
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
