#include "comm/group.h"

#include <sched.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <thread>

namespace coe {
namespace {

using Clock = std::chrono::steady_clock;

/// Yields while an answer is near, then sleeps, so that ranks that wait leave the cores to those that compute.
void pause_after(Clock::duration waited) {
  constexpr std::chrono::microseconds kNear{100}, kSleep{20};
  if (waited < kNear) {
    sched_yield();
  } else {
    std::this_thread::sleep_for(kSleep);
  }
}

std::string list_of(const std::vector<int>& peers) {
  std::ostringstream text;
  text << (peers.size() == 1 ? "rank " : "ranks ");
  for (std::size_t i = 0; i < peers.size(); ++i) text << (i > 0 ? ", " : "") << peers[i];
  return text.str();
}

std::string bytes_of(const Shortfall& lack) {
  std::ostringstream text;
  const bool receives = lack.arrived < lack.expected, sends = lack.taken < lack.sent;
  if (receives) text << lack.arrived << " of " << lack.expected << " bytes arrived";
  if (receives && sends) text << ", ";
  if (sends) text << lack.taken << " of " << lack.sent << " bytes were taken";
  return text.str();
}

std::uint64_t bytes_of(std::span<const Message> messages) {
  std::uint64_t bytes = 0;
  for (const Message& message : messages)
    for (const Piece& piece : message.pieces) bytes += piece.bytes;
  return bytes;
}

/// What a wait is for.
class Awaited {
 public:
  virtual ~Awaited() = default;
  virtual bool done() = 0;
  virtual Shortfall lack() = 0;
  virtual void give_up() = 0;
  /// What was expected and seen.
  virtual std::string seen(const Shortfall& lack) = 0;
};

class AwaitedTicket : public Awaited {
 public:
  AwaitedTicket(Transport& transport, Ticket ticket) : transport_(transport), ticket_(ticket) {}
  bool done() override { return transport_.test(ticket_); }
  Shortfall lack() override { return transport_.lack(ticket_); }
  void give_up() override { transport_.give_up(ticket_); }
  std::string seen(const Shortfall& lack) override { return bytes_of(lack); }

 private:
  Transport& transport_;
  Ticket ticket_;
};

class AwaitedSignals : public Awaited {
 public:
  AwaitedSignals(Transport& transport, const Signals& signals, std::span<const AwaitedSignal> awaited)
      : transport_(transport), signals_(signals), awaited_(awaited) {}

  bool done() override {
    const auto heard = [&](const AwaitedSignal& one) { return signals_.heard(one.source, one.channel) >= one.number; };
    while (next_ < awaited_.size() && heard(awaited_[next_])) ++next_;
    if (next_ < awaited_.size()) transport_.check_peers();
    return next_ == awaited_.size();
  }
  Shortfall lack() override {
    std::vector<int> silent;
    for (const AwaitedSignal& one : awaited_.subspan(next_)) {
      if (signals_.heard(one.source, one.channel) < one.number) silent.push_back(one.source);
    }
    return transport_.lack_of(silent);
  }
  void give_up() override {}
  std::string seen(const Shortfall& /*lack*/) override {
    const AwaitedSignal& first = awaited_[next_];
    return "signal " + std::to_string(signals_.heard(first.source, first.channel)) + " of " +
           std::to_string(first.number) + " was heard";
  }

 private:
  Transport& transport_;
  const Signals& signals_;
  std::span<const AwaitedSignal> awaited_;
  std::size_t next_ = 0;  ///< all before it were heard
};

/// Notes whom the wait lacks, and does not go on waiting for the dead or in a job that has failed.
void look_closer(const Group& group, Awaited& awaited, std::uint64_t record, const Phase& phase) {
  if (group.recorder == nullptr) return;
  const Shortfall lack = awaited.lack();
  group.recorder->miss(record, lack.peers);
  const int dead = group.recorder->dead_among(lack.peers);
  if (dead < 0 && !group.recorder->job_has_failed()) return;
  awaited.give_up();
  group.recorder->end(record, FlightState::kGivenUp);
  const std::string cause =
      dead < 0 ? "another rank has failed" : "the process of rank " + std::to_string(dead) + " has died";
  fail(ErrorCode::kPeer, "rank ", lack.rank, " waits for ", list_of(lack.peers), " in ", phase.text(), ": ", cause);
}

void run_out(const Group& group, Awaited& awaited, std::uint64_t record, const Phase& phase) {
  const Shortfall lack = awaited.lack();
  if (lack.peers.empty()) return;  // it has come to its end between two looks
  const std::string seen = awaited.seen(lack);
  awaited.give_up();
  if (group.recorder != nullptr) {
    group.recorder->miss(record, lack.peers);
    group.recorder->end(record, FlightState::kGivenUp);
  }
  fail(ErrorCode::kPeer, "rank ", lack.rank, " waits for ", list_of(lack.peers), " in ", phase.text(), ": ", seen,
       " after ", std::chrono::duration<double>(group.deadline).count(), " s");
}

void wait_for(const Group& group, Awaited& awaited, std::uint64_t record, const Phase& phase) {
  constexpr std::chrono::milliseconds kCloserLook{100}, kOwnPause{250};
  Clock::time_point start = Clock::now(), last = start, look = start + kCloserLook;
  while (!awaited.done()) {
    const Clock::time_point now = Clock::now();
    if (now - last > kOwnPause) start += now - last;  // a rank that was stopped itself did not wait for others
    last = now;
    if (group.recorder != nullptr) group.recorder->alive(now);
    if (now >= look) {
      look_closer(group, awaited, record, phase);
      look = now + kCloserLook;
    }
    if (now - start >= group.deadline) run_out(group, awaited, record, phase);
    pause_after(now - start);
  }
  if (group.recorder != nullptr) group.recorder->end(record, FlightState::kDone);
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

void wait(const Group& group, Ticket ticket, const Phase& phase) {
  AwaitedTicket awaited(*group.transport, ticket);
  wait_for(group, awaited, ticket.record, phase);
}

void wait(const Group& group, const Signals& signals, std::span<const AwaitedSignal> awaited, std::uint64_t bytes_in,
          const Phase& phase) {
  const std::uint64_t record = group.recorder == nullptr ? 0 : group.recorder->begin(phase, 0, bytes_in);
  AwaitedSignals all(*group.transport, signals, awaited);
  wait_for(group, all, record, phase);
}

}  // namespace coe
