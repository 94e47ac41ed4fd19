#pragma once

#include <list>
#include <vector>

#include "comm/device_messages.h"
#include "comm/group.h"
#include "kernels/memory/pinned_buffer.h"

namespace coe {

/// Messages between devices by way of the hosts and their Transport: what leaves is copied to the host, for which the
/// host waits, and what arrives to the device. Views what the group views.
class HostMessages : public DeviceMessages {
 public:
  HostMessages(const Group& group, bool sizes_are_fixed) : DeviceMessages(sizes_are_fixed), group_(group) {}

  Ticket post(std::span<const Message> sends, std::span<const Message> receives, const Stream& stream,
              const Phase& phase) override;
  Ticket all_gather(const Tensor& mine, const Tensor& all, const Stream& stream, const Phase& phase) override;
  Ticket reduce_scatter_sum(const Tensor& values, const Stream& stream, const Phase& phase) override;
  void follow(Ticket ticket, const Stream& stream) override;
  bool waits_for_streams() const override { return true; }
  std::string_view name() const override { return "messages of the hosts"; }

 private:
  /// Host memory for pieces of a device's: what lies together there lies together here, and is copied at once.
  class Image {
   public:
    void lay_out(std::span<const Message> messages, Device device);
    /// The same messages, on the host.
    std::span<const Message> messages() const { return messages_; }
    /// All of it, where it is one piece.
    Tensor only(DType dtype, Shape shape) const { return {memory_.data(), dtype, shape}; }
    void from_device(const Stream& stream) const;
    void to_device(const Stream& stream) const;

   private:
    struct Run {
      std::byte* there = nullptr;
      std::size_t bytes = 0, at = 0;
    };
    void find_runs(std::span<const Message> messages);
    Piece here(const Piece& piece) const;
    template <class Copy>
    void for_each_run(Device device, const Copy& copy) const;

    std::vector<Run> runs_;
    std::vector<Piece> pieces_;
    std::vector<Message> messages_;
    PinnedBuffer memory_;
  };
  struct Operation {
    Ticket ticket;  ///< of the Transport; id 0: nobody waits for it
    Phase phase;
    Image leaving, coming;
    Event landed;
  };

  Operation& free_operation(const Stream& stream);

  Group group_;
  std::list<Operation> operations_;
};

}  // namespace coe
