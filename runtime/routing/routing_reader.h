#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "comm/group.h"
#include "kernels/memory/pinned_buffer.h"
#include "kernels/memory/stream.h"
#include "runtime/routing/routing_record.h"

namespace coe {

/// Brings routings to a RoutingCounter, in the order in which they are added. Those of a device are copied to the host
/// behind what the stream was given so far, and counted when the copy is there: the host waits only where several are
/// under way, and for the oldest. Views group and stream.
class RoutingReader {
 public:
  RoutingReader(const Group& group, const Stream& stream) : group_(group), stream_(&stream) {}

  /// Counts what was added so far, and what is added from now on in `counter`, which is viewed; nullptr ends it. Throws
  /// what wait() throws.
  void count_in(RoutingCounter* counter);
  void add(std::int64_t layer, std::int64_t iteration, const Routing& routing);
  /// All that was added is counted. Throws what wait() throws.
  void finish();

 private:
  static constexpr std::size_t kMostUnderWay = 4;
  struct Copy {
    std::int64_t layer = 0, iteration = 0;
    PinnedBuffer memory;
    Routing routing;  ///< views the memory
    std::optional<Event> there;
  };
  void count_oldest();

  Group group_;
  const Stream* stream_;
  RoutingCounter* counter_ = nullptr;
  std::array<Copy, kMostUnderWay> copies_;
  std::size_t oldest_ = 0, under_way_ = 0;
};

}  // namespace coe
