#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/group.h"
#include "comm/wait.h"
#include "kernels/memory/stream.h"

namespace coe {

/// Where the streams of ranks that share a device, or see one another's memory, wait for one another: what a rank's
/// stream is given after follow() runs after all that every rank's stream had been given before its arrive(). Streams
/// wait by themselves, for events or numbers in memory; a host waits only for other ranks' hosts, and not at all where
/// one thread lets all ranks arrive before any follows.
class StreamMeeting {
 public:
  /// Collective. Throws kBadInput where the group's transport does not reach peers on the device.
  StreamMeeting(Group group, Device device);

  void arrive(const Stream& stream);
  /// Throws kPeer where a rank did not arrive before the deadline.
  void follow(const Stream& stream, const Phase& phase);

 private:
  Group group_;
  std::unique_ptr<Window> control_, marks_;
  Signals signals_;
  std::uint64_t number_ = 0;
  std::vector<AwaitedSignal> awaited_;
};

}  // namespace coe
