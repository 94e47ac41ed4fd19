#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "comm/transport.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Messages between the devices of a group's ranks, in the order of streams: what is begun comes after the work that a
/// stream has been given so far, and what a stream is given after follow() comes after what arrived. Belongs to one
/// rank and one thread; every rank of the group begins the same operations in the same order, with sizes that fit
/// together. Memory must stay as it is until the operation was followed and the stream is done. All throw what wait()
/// throws.
class DeviceMessages {
 public:
  virtual ~DeviceMessages() = default;
  DeviceMessages(const DeviceMessages&) = delete;
  DeviceMessages& operator=(const DeviceMessages&) = delete;

  /// Pieces of device memory, each of which is as long as its peer expects; empty ones do not travel, and a message to
  /// oneself is legal.
  virtual Ticket post(std::span<const Message> sends, std::span<const Message> receives, const Stream& stream,
                      const Phase& phase) = 0;
  /// Every rank's `mine` in `all` [R, ...], in rank order; `mine` may be this rank's own part of it.
  virtual Ticket all_gather(const Tensor& mine, const Tensor& all, const Stream& stream, const Phase& phase) = 0;
  /// values fp32 [R n]: this rank's n, the parts being in rank order, become their sums over all ranks; what the others
  /// then hold means nothing.
  virtual Ticket reduce_scatter_sum(const Tensor& values, const Stream& stream, const Phase& phase) = 0;
  /// Once for each operation, in any order.
  virtual void follow(Ticket ticket, const Stream& stream) = 0;

  /// Throws kPeer where an operation under way has failed.
  virtual void check() const {}
  /// Takes back what is under way, with all others that this rank has, so that no stream waits for it any more; they
  /// are of no further use then.
  void abort() noexcept {
    take_back();
    for (DeviceMessages* other : others_) other->take_back();
  }
  /// Those of another group of this rank's, viewed.
  void end_with(DeviceMessages& other) { others_.push_back(&other); }
  /// Whether what is posted must have sizes that do not depend on what was routed, so that no host waits for counts.
  bool sizes_are_fixed() const { return sizes_are_fixed_; }
  /// Whether the host waits for the stream where something is begun, so that nothing goes on beside the stream's work.
  virtual bool waits_for_streams() const { return false; }
  /// By what they go, for a report.
  virtual std::string_view name() const = 0;

 protected:
  explicit DeviceMessages(bool sizes_are_fixed) : sizes_are_fixed_(sizes_are_fixed) {}

  virtual void take_back() noexcept {}

 private:
  bool sizes_are_fixed_;
  std::vector<DeviceMessages*> others_;
};

}  // namespace coe
