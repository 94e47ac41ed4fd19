#pragma once

#include <chrono>
#include <span>

#include "comm/flight_recorder.h"
#include "comm/transport.h"

namespace coe {

class DeviceMessages;

/// A group of ranks, the patience that this rank has with it, and who keeps record. Views what somebody else owns.
struct Group {
  Transport* transport = nullptr;
  std::chrono::milliseconds deadline = transport == nullptr ? kDefaultDeadline : transport->deadline();
  FlightRecorder* recorder = nullptr;  ///< May be missing.
  DeviceMessages* messages = nullptr;  ///< Between the ranks' devices, where these see no memory of one another's.
  int rank() const { return transport->rank(); }
  int size() const { return transport->size(); }
};

/// Transport::post, recorded.
Ticket post(const Group& group, std::span<const Message> sends, std::span<const Message> receives, const Phase& phase);

}  // namespace coe
