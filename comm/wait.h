#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "comm/group.h"
#include "kernels/memory/stream.h"

namespace coe {

/// What a rank can wait for.
class Awaited {
 public:
  virtual ~Awaited() = default;
  /// Moves it on; true once it is there.
  virtual bool done() = 0;
  /// When whom it lacks last gave a sign of being at work; the deadline counts from there.
  virtual std::chrono::steady_clock::time_point heard() const { return {}; }
  /// Whom it still lacks: the own rank where that is the own device.
  virtual Shortfall lack() = 0;
  /// Nobody waits for it any more.
  virtual void give_up() = 0;
  /// What was expected and seen.
  virtual std::string seen(const Shortfall& lack) = 0;
};

/// Waits until `awaited` is done, recorded as exchange `record` (0: as none). With its kin below the only place that
/// blocks. Throws kPeer after the group's deadline, or earlier where a peer's process is no more or the recorder's
/// folder tells of a failure, naming this rank, the peers with host and process, the phase, and what was expected and
/// seen.
void wait(const Group& group, Awaited& awaited, std::uint64_t record, const Phase& phase);

/// Waits until `ticket` is complete.
void wait(const Group& group, Ticket ticket, const Phase& phase);

/// A number that `source` shall have told this rank on `channel`, or a later one.
struct AwaitedSignal {
  int source = 0, channel = 0;
  std::uint64_t number = 0;
};

/// Waits until all of `awaited` were heard; recorded as an exchange of `bytes_in` in all.
void wait(const Group& group, const Signals& signals, std::span<const AwaitedSignal> awaited, std::uint64_t bytes_in,
          const Phase& phase);

/// Waits until all the work given to the stream is done, or that before the event.
void wait(const Group& group, const Stream& stream, const Phase& phase);
void wait(const Group& group, const Event& event, const Phase& phase);

}  // namespace coe
