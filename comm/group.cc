#include "comm/group.h"

namespace coe {
namespace {

std::uint64_t bytes_of(std::span<const Message> messages) {
  std::uint64_t bytes = 0;
  for (const Message& message : messages)
    for (const Piece& piece : message.pieces) bytes += piece.bytes;
  return bytes;
}

}  // namespace

Ticket post(const Group& group, std::span<const Message> sends, std::span<const Message> receives, const Phase& phase) {
  // First the record: posting may fail.
  const std::uint64_t record =
      group.recorder == nullptr ? 0 : group.recorder->begin(phase, bytes_of(sends), bytes_of(receives));
  Ticket ticket = group.transport->post(sends, receives);
  ticket.record = record;
  return ticket;
}

}  // namespace coe
