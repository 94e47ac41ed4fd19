#pragma once

#include <cstdint>
#include <memory>

#include "comm/stream_meeting.h"
#include "runtime/exchange/exchange.h"
#include "runtime/exchange/flight_pool.h"
#include "runtime/exchange/stream_window.h"

namespace coe {

/// Rows are copied once between ranks whose streams share a device: they are written straight to their final place, and
/// results are read from where the experts left them. How many there are stays on the device, so that windows are made
/// for the bound that the plan knows; who may touch what follows from the meetings of the streams, of which every
/// flight has one each way. All ranks go on with flights of several chunks in one order, and a window that was given
/// back first is taken first: its last use then lies before the meeting that the taker's chunk has followed last.
class StreamExchange : public Exchange {
 public:
  /// `group` is the expert-parallel group; rows are of `dtype`. Views the stream. Collective.
  StreamExchange(const Group& group, std::int64_t hidden, DType dtype, const Stream& stream,
                 const FlightHint& hint = {});
  ~StreamExchange() override;

  Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) override;
  /// Always 0: how many rows there are is not known here.
  std::int64_t bytes_sent() const override { return 0; }
  int growths() const override { return growths_; }

 private:
  class Buffers;
  struct Place {
    std::unique_ptr<StreamWindow> window;
  };
  StreamMeeting& take_meeting();
  /// The next of a pool, with room for so many rows.
  Place& take(FlightPool<Place>& pool, std::int64_t rows);

  Group group_;
  std::int64_t hidden_;
  DType dtype_;
  const Stream* stream_;
  FlightPool<StreamMeeting> meetings_;  ///< of the flights under way: a stream follows one before it arrives anew
  FlightPool<Place> arrivals_, results_;
  FlightPool<Buffers> flights_;
  int growths_ = 0;
};

}  // namespace coe
