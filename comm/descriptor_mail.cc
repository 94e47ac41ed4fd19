#include "comm/descriptor_mail.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// What goes beside the file.
struct Note {
  std::array<std::byte, 16> secret{};
  std::int32_t from = 0;
  std::uint64_t number = 0;
};

[[noreturn]] void refuse(const char* call) {
  fail(ErrorCode::kSystem, "descriptor mail: ", call, ": ", std::strerror(errno));
}

void fill_random(void* bytes, std::size_t count) {
  if (getrandom(bytes, count, 0) != static_cast<ssize_t>(count)) refuse("getrandom");
}

MailAddress new_address() {
  MailAddress address;
  fill_random(address.secret.data(), address.secret.size());
  std::array<unsigned char, 14> digits{};
  fill_random(digits.data(), digits.size());
  constexpr std::string_view kDigits = "0123456789abcdef", kPrefix = "coe-";
  std::string name(kPrefix);
  for (const unsigned char byte : digits) name += {kDigits[byte / 16U], kDigits[byte % 16U]};
  std::ranges::copy(name, address.name.begin());
  return address;
}

/// A name of the abstract kind begins with a zero byte and needs no other end.
struct SocketName {
  explicit SocketName(const MailAddress& address) {
    name.sun_family = AF_UNIX;
    std::ranges::copy(address.name, name.sun_path + 1);
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&name); }
  static constexpr socklen_t kLength =
      offsetof(sockaddr_un, sun_path) + 1 + std::tuple_size_v<decltype(MailAddress::name)>;
  sockaddr_un name{};
};

/// One note and room for one file beside it.
struct Parcel {
  Parcel() {
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
  Note note;
  iovec piece{&note, sizeof(Note)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
};

Descriptor file_in(msghdr& header) {
  const cmsghdr* const part = CMSG_FIRSTHDR(&header);
  if (part == nullptr || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) return Descriptor();
  int number = -1;
  std::memcpy(&number, CMSG_DATA(part), sizeof(number));
  return Descriptor(number);
}

}  // namespace

DescriptorMail::DescriptorMail()
    : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), address_(new_address()) {
  if (!socket_.is_open()) refuse("socket");
  SocketName name(address_);
  if (bind(socket_.get(), name.get(), SocketName::kLength) != 0) refuse("bind");
}

bool DescriptorMail::send(const MailAddress& to, const DescriptorLetter& letter) const {
  SocketName name(to);
  Parcel parcel;
  parcel.note = {to.secret, letter.from, letter.number};
  parcel.header.msg_name = name.get();
  parcel.header.msg_namelen = SocketName::kLength;
  cmsghdr* const part = CMSG_FIRSTHDR(&parcel.header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = letter.file.get();
  std::memcpy(CMSG_DATA(part), &number, sizeof(number));
  if (sendmsg(socket_.get(), &parcel.header, MSG_NOSIGNAL) == sizeof(Note)) return true;
  // Too many references: files under way count against what this user may have open.
  if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS || errno == EINTR) return false;
  refuse("sendmsg");
}

std::optional<DescriptorLetter> DescriptorMail::receive() const {
  while (true) {
    Parcel parcel;
    const ssize_t got = recvmsg(socket_.get(), &parcel.header, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return std::nullopt;
    if (got < 0) refuse("recvmsg");
    Descriptor file = file_in(parcel.header);
    if (got != sizeof(Note) || parcel.note.secret != address_.secret) continue;
    if (!file.is_open())
      fail(ErrorCode::kSystem, "descriptor mail: a file cannot be taken: too many are open (ulimit -n)");
    return DescriptorLetter{parcel.note.from, parcel.note.number, std::move(file)};
  }
}

}  // namespace coe
