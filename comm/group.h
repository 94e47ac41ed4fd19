#pragma once

#include <chrono>
#include <span>

#include "comm/flight_recorder.h"
#include "comm/transport.h"

namespace coe {

/// A group of ranks, the patience that this rank has with it, and who keeps record. Views what somebody else owns.
struct Group {
  Transport* transport = nullptr;
  std::chrono::milliseconds deadline = kDefaultDeadline;
  FlightRecorder* recorder = nullptr;  ///< May be missing.
  int rank() const { return transport->rank(); }
  int size() const { return transport->size(); }
};

/// Transport::post, recorded.
Ticket post(const Group& group, std::span<const Message> sends, std::span<const Message> receives, const Phase& phase);

/// A number that `source` shall have told this rank on `channel`, or a later one.
struct AwaitedSignal {
  int source = 0, channel = 0;
  std::uint64_t number = 0;
};

/// Waits until `ticket` is complete. With the next one the only place that blocks. Throws kPeer after the deadline, or
/// earlier where a peer's process is no more or the recorder's folder tells of a failure, naming this rank, the peers,
/// the phase, and what was expected and seen.
void wait(const Group& group, Ticket ticket, const Phase& phase);

/// Waits until all of `awaited` were heard, with the same patience; recorded as an exchange of `bytes_in` in all.
void wait(const Group& group, const Signals& signals, std::span<const AwaitedSignal> awaited, std::uint64_t bytes_in,
          const Phase& phase);

}  // namespace coe
