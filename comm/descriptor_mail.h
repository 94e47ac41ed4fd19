#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "comm/descriptor.h"

namespace coe {

/// Where a DescriptorMail gets letters: plain bytes, for others to be told.
struct MailAddress {
  std::array<char, 32> name{};
  std::array<std::byte, 16> secret{};  ///< Who knows it may write.
};

/// An open file for another process of this machine.
struct DescriptorLetter {
  std::int32_t from = 0;
  std::uint64_t number = 0;  ///< Of the sender's letters to this receiver.
  Descriptor file;
};

/// Gives and gets open files between processes that share a machine and its network namespace, by datagrams of a unix
/// socket whose name lies in no file system and goes with the process. Letters of one sender keep their order.
class DescriptorMail {
 public:
  /// Throws kSystem where the system refuses.
  DescriptorMail();

  const MailAddress& address() const { return address_; }
  /// False while the receiver's box is full. Throws kSystem where it cannot be reached.
  bool send(const MailAddress& to, const DescriptorLetter& letter) const;
  /// The next letter, if one is there; what does not know the secret is thrown away. Throws kSystem where its file
  /// cannot be taken: a process may have only so many open.
  std::optional<DescriptorLetter> receive() const;

 private:
  Descriptor socket_;
  MailAddress address_;
};

}  // namespace coe
