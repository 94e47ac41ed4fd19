#include "comm/local_transport.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>

#include "comm/collectives.h"
#include "comm/local_window.h"

namespace coe {
namespace {

std::size_t bytes_of(const Message& message) {
  std::size_t bytes = 0;
  for (const Piece& piece : message.pieces) bytes += piece.bytes;
  return bytes;
}

std::size_t bytes_of(std::span<const Message> messages) {
  std::size_t bytes = 0;
  for (const Message& message : messages) bytes += bytes_of(message);
  return bytes;
}

bool same_sizes(const Message& sent, const Message& expected) {
  return std::equal(sent.pieces.begin(), sent.pieces.end(), expected.pieces.begin(), expected.pieces.end(),
                    [](const Piece& a, const Piece& b) { return a.bytes == b.bytes; });
}

void copy(const Message& sent, const Message& expected) {
  for (std::size_t i = 0; i < sent.pieces.size(); ++i) {
    if (sent.pieces[i].bytes > 0) std::memcpy(expected.pieces[i].data, sent.pieces[i].data, sent.pieces[i].bytes);
  }
}

}  // namespace

/// A rank of a LocalHub. A message is copied once, from the sender's memory to the receiver's, by the receiver's
/// thread.
class LocalTransport : public Transport {
 public:
  LocalTransport(LocalHub& hub, int rank, std::chrono::milliseconds deadline)
      : Transport(deadline), hub_(hub), rank_(rank), expected_(static_cast<std::size_t>(hub.size())) {}
  LocalTransport(std::unique_ptr<LocalHub> hub, std::chrono::milliseconds deadline)
      : Transport(deadline), owned_(std::move(hub)), hub_(*owned_), expected_(1) {}
  ~LocalTransport() override { take_back_all(); }
  LocalTransport(const LocalTransport&) = delete;
  LocalTransport& operator=(const LocalTransport&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return hub_.size(); }
  Reach reach(int peer) const override { return peer == rank_ ? Reach::kSelf : Reach::kMapped; }
  Ticket post(std::span<const Message> sends, std::span<const Message> receives) override;
  bool test(Ticket ticket) override;
  Shortfall lack(Ticket ticket) override;
  void give_up(Ticket ticket) override { take_back(find(ticket)); }
  void check_peers() override;
  Shortfall lack_of(std::span<const int> peers) const override;
  using Transport::make_window;
  std::unique_ptr<Window> make_window(std::size_t bytes, Device device) override {
    return std::make_unique<LocalWindow>(hub_, windows_++, bytes, device);
  }
  bool maps_devices() const override { return true; }
  void abort(const Error& error) noexcept override;
  std::unique_ptr<Transport> split(int color, int key) override;

 private:
  struct Operation {
    std::uint64_t id = 0;  ///< 0: free.
    std::span<const Message> sends, receives;
    std::atomic<int> open_sends = 0;
    int open_receives = 0;
  };
  struct Expected {
    const Message* message = nullptr;
    Operation* operation = nullptr;
  };
  struct Match {
    LocalHub::Sent sent;
    Expected expected;
  };

  Operation& free_operation();
  Operation& find(Ticket ticket);
  void check_peer(int peer) const;
  void take_matches();
  void receive();
  std::size_t untaken(const Operation& operation, int peer);
  std::size_t missing(const Operation& operation, int peer) const;
  void take_back(Operation& operation);
  void take_back_all();

  std::unique_ptr<LocalHub> owned_;
  LocalHub& hub_;
  int rank_ = 0;
  std::uint64_t last_id_ = 0, splits_ = 0, windows_ = 0;
  std::deque<Operation> operations_;             ///< Never shrinks: other ranks point at open_sends.
  std::vector<std::vector<Expected>> expected_;  ///< By source, in the order posted.
  std::vector<Match> matches_;
};

LocalTransport::Operation& LocalTransport::free_operation() {
  for (Operation& operation : operations_) {
    if (operation.id == 0) return operation;
  }
  return operations_.emplace_back();
}

LocalTransport::Operation& LocalTransport::find(Ticket ticket) {
  for (Operation& operation : operations_) {
    if (operation.id == ticket.id && ticket.id != 0) return operation;
  }
  fail(ErrorCode::kInternal, "local transport: ticket ", ticket.id, " is not under way");
}

void LocalTransport::check_peer(int peer) const {
  check(peer >= 0 && peer < size(), "local transport: peer is ", peer, ", ranks are ", size());
}

Ticket LocalTransport::post(std::span<const Message> sends, std::span<const Message> receives) {
  for (const Message& message : sends) check_peer(message.peer);
  for (const Message& message : receives) check_peer(message.peer);
  Operation& operation = free_operation();
  operation.id = ++last_id_;
  operation.sends = sends;
  operation.receives = receives;
  const auto travels = [](const Message& message) { return bytes_of(message) > 0; };
  operation.open_sends = static_cast<int>(std::ranges::count_if(sends, travels));
  operation.open_receives = static_cast<int>(std::ranges::count_if(receives, travels));
  count_sent(static_cast<std::uint64_t>(operation.open_sends));
  for (const Message& message : receives) {
    if (travels(message)) expected_[static_cast<std::size_t>(message.peer)].push_back({&message, &operation});
  }
  for (const Message& message : sends) {
    if (!travels(message)) continue;
    LocalHub::Mailbox& mailbox = hub_.mailbox(message.peer);
    const std::lock_guard lock(mailbox.mutex);
    mailbox.from[static_cast<std::size_t>(rank_)].push_back({&message, &operation.open_sends});
  }
  return {operation.id};
}

void LocalTransport::take_matches() {
  LocalHub::Mailbox& mailbox = hub_.mailbox(rank_);
  const std::lock_guard lock(mailbox.mutex);
  for (std::size_t source = 0; source < expected_.size(); ++source) {
    auto& sent = mailbox.from[source];
    auto& expected = expected_[source];
    const auto count = static_cast<std::ptrdiff_t>(std::min(sent.size(), expected.size()));
    for (std::ptrdiff_t i = 0; i < count; ++i) matches_.push_back({*(sent.begin() + i), *(expected.begin() + i)});
    sent.erase(sent.begin(), sent.begin() + count);
    expected.erase(expected.begin(), expected.begin() + count);
  }
}

void LocalTransport::receive() {
  take_matches();
  const Match* wrong = nullptr;
  for (const Match& match : matches_) {
    const bool fits = same_sizes(*match.sent.message, *match.expected.message);
    if (fits) {
      copy(*match.sent.message, *match.expected.message);
      --match.expected.operation->open_receives;
    } else {
      wrong = &match;
    }
    match.sent.open->fetch_sub(1, std::memory_order_release);
  }
  if (wrong != nullptr) {
    const int peer = wrong->expected.message->peer;
    matches_.clear();
    fail(ErrorCode::kInternal, "local transport: rank ", hub_.job_rank(rank_),
         " expects pieces of other sizes than rank ", hub_.job_rank(peer), " sends");
  }
  matches_.clear();
}

void LocalTransport::check_peers() {
  LocalHub::Failure& failure = hub_.failure();
  if (!failure.happened.load(std::memory_order_acquire)) return;
  take_back_all();
  throw Error(ErrorCode::kPeer, failure.message);
}

Shortfall LocalTransport::lack_of(std::span<const int> peers) const {
  Shortfall lack;
  lack.rank = hub_.job_rank(rank_);
  for (const int peer : peers) lack.peers.push_back(hub_.job_rank(peer));
  std::ranges::sort(lack.peers);
  return lack;
}

bool LocalTransport::test(Ticket ticket) {
  check_peers();
  Operation& operation = find(ticket);
  receive();
  if (operation.open_receives > 0 || operation.open_sends.load(std::memory_order_acquire) > 0) return false;
  operation.id = 0;
  return true;
}

/// Bytes that `peer` has not begun to copy.
std::size_t LocalTransport::untaken(const Operation& operation, int peer) {
  LocalHub::Mailbox& mailbox = hub_.mailbox(peer);
  const std::lock_guard lock(mailbox.mutex);
  std::size_t bytes = 0;
  for (const LocalHub::Sent& sent : mailbox.from[static_cast<std::size_t>(rank_)]) {
    if (sent.open == &operation.open_sends) bytes += bytes_of(*sent.message);
  }
  return bytes;
}

/// Bytes that `peer` has not sent.
std::size_t LocalTransport::missing(const Operation& operation, int peer) const {
  std::size_t bytes = 0;
  for (const Expected& expected : expected_[static_cast<std::size_t>(peer)]) {
    if (expected.operation == &operation) bytes += bytes_of(*expected.message);
  }
  return bytes;
}

Shortfall LocalTransport::lack(Ticket ticket) {
  const Operation& operation = find(ticket);
  Shortfall lack;
  lack.rank = hub_.job_rank(rank_);
  lack.expected = lack.arrived = bytes_of(operation.receives);
  lack.sent = lack.taken = bytes_of(operation.sends);
  for (int peer = 0; peer < size(); ++peer) {
    const std::size_t to_send = untaken(operation, peer), to_receive = missing(operation, peer);
    lack.taken -= to_send;
    lack.arrived -= to_receive;
    if (to_send > 0 || to_receive > 0) lack.peers.push_back(hub_.job_rank(peer));
  }
  std::ranges::sort(lack.peers);
  return lack;
}

void LocalTransport::take_back(Operation& operation) {
  for (int peer = 0; peer < size(); ++peer) {
    LocalHub::Mailbox& mailbox = hub_.mailbox(peer);
    const std::lock_guard lock(mailbox.mutex);
    std::erase_if(mailbox.from[static_cast<std::size_t>(rank_)], [&](const LocalHub::Sent& sent) {
      if (sent.open != &operation.open_sends) return false;
      operation.open_sends.fetch_sub(1, std::memory_order_relaxed);
      return true;
    });
    std::erase_if(expected_[static_cast<std::size_t>(peer)],
                  [&](const Expected& expected) { return expected.operation == &operation; });
  }
  // A peer may be copying out of this operation's memory just now: that ends by itself.
  while (operation.open_sends.load(std::memory_order_acquire) > 0) sched_yield();
  operation.id = 0;
}

void LocalTransport::take_back_all() {
  for (Operation& operation : operations_) {
    if (operation.id != 0) take_back(operation);
  }
}

void LocalTransport::abort(const Error& error) noexcept {
  LocalHub::Failure& failure = hub_.failure();
  const std::lock_guard lock(failure.mutex);
  if (failure.happened.load(std::memory_order_relaxed)) return;
  failure.message = "rank " + std::to_string(hub_.job_rank(rank_)) + " failed: " + error.what();
  failure.happened.store(true, std::memory_order_release);
}

std::unique_ptr<Transport> LocalTransport::split(int color, int key) {
  check(color >= 0, "local transport: color is ", color, ", must be at least 0");
  struct Choice {
    int color = 0, key = 0;
  };
  const Choice mine{color, key};
  std::vector<Choice> all(static_cast<std::size_t>(size()));
  all_gather<Choice>({this, deadline(), recorder()}, {&mine, 1}, all, {.name = "splitting a group"});
  std::vector<int> members;
  for (int peer = 0; peer < size(); ++peer) {
    if (all[static_cast<std::size_t>(peer)].color == color) members.push_back(peer);
  }
  std::ranges::stable_sort(members, {}, [&](int peer) { return all[static_cast<std::size_t>(peer)].key; });
  LocalHub& part = hub_.part(splits_++, color, members);
  auto transport = part.connect(static_cast<int>(std::ranges::find(members, rank_) - members.begin()));
  transport->record_by(recorder());
  return transport;
}

std::unique_ptr<Transport> LocalHub::connect(int rank) {
  return std::make_unique<LocalTransport>(*this, rank, deadline_);
}

std::unique_ptr<Transport> make_lone_transport(std::chrono::milliseconds deadline) {
  return std::make_unique<LocalTransport>(std::make_unique<LocalHub>(1, deadline), deadline);
}

}  // namespace coe
