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

/// Notes whom the ticket lacks, and does not go on waiting for the dead or in a job that has failed.
void look_closer(const Group& group, Ticket ticket, const Phase& phase) {
  if (group.recorder == nullptr) return;
  const Shortfall lack = group.transport->lack(ticket);
  group.recorder->miss(ticket.record, lack.peers);
  const int dead = group.recorder->dead_among(lack.peers);
  if (dead < 0 && !group.recorder->job_has_failed()) return;
  group.transport->give_up(ticket);
  group.recorder->end(ticket.record, FlightState::kGivenUp);
  const std::string cause =
      dead < 0 ? "another rank has failed" : "the process of rank " + std::to_string(dead) + " has died";
  fail(ErrorCode::kPeer, "rank ", lack.rank, " waits for ", list_of(lack.peers), " in ", phase.text(), ": ", cause);
}

void run_out(const Group& group, Ticket ticket, const Phase& phase) {
  const Shortfall lack = group.transport->lack(ticket);
  if (lack.peers.empty()) return;  // it has come to its end between two looks
  group.transport->give_up(ticket);
  if (group.recorder != nullptr) {
    group.recorder->miss(ticket.record, lack.peers);
    group.recorder->end(ticket.record, FlightState::kGivenUp);
  }
  fail(ErrorCode::kPeer, "rank ", lack.rank, " waits for ", list_of(lack.peers), " in ", phase.text(), ": ",
       bytes_of(lack), " after ", std::chrono::duration<double>(group.deadline).count(), " s");
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
  constexpr std::chrono::milliseconds kCloserLook{100}, kOwnPause{250};
  Clock::time_point start = Clock::now(), last = start, look = start + kCloserLook;
  while (!group.transport->test(ticket)) {
    const Clock::time_point now = Clock::now();
    if (now - last > kOwnPause) start += now - last;  // a rank that was stopped itself did not wait for others
    last = now;
    if (group.recorder != nullptr) group.recorder->alive(now);
    if (now >= look) {
      look_closer(group, ticket, phase);
      look = now + kCloserLook;
    }
    if (now - start >= group.deadline) run_out(group, ticket, phase);
    pause_after(now - start);
  }
  if (group.recorder != nullptr) group.recorder->end(ticket.record, FlightState::kDone);
}

}  // namespace coe
