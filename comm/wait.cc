#include "comm/wait.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>
#include <vector>

#include "comm/device_messages.h"

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

std::string bytes_of(const Shortfall& lack) {
  std::ostringstream text;
  const bool receives = lack.arrived < lack.expected, sends = lack.taken < lack.sent;
  if (receives) text << lack.arrived << " of " << lack.expected << " bytes arrived";
  if (receives && sends) text << ", ";
  if (sends) text << lack.taken << " of " << lack.sent << " bytes were taken";
  return text.str();
}

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

/// A Stream or an Event.
template <class Work>
class AwaitedWork : public Awaited {
 public:
  AwaitedWork(const Group& group, const Work& work) : group_(group), work_(work) {}
  bool done() override {
    if (work_.done()) return true;
    group_.transport->check_peers();
    if (group_.messages != nullptr) group_.messages->check();
    return false;
  }
  Shortfall lack() override {
    Shortfall lack = group_.transport->lack_of({});
    lack.peers.push_back(lack.rank);
    return lack;
  }
  void give_up() override {}
  std::string seen(const Shortfall& /*lack*/) override { return "its work was not done"; }

 private:
  const Group& group_;
  const Work& work_;
};

/// "rank 0 (node1, pid 7) waits for rank 3 (node2, pid 9) in dispatch of layer 1"
std::string who_waits(const Group& group, const Shortfall& lack, const Phase& phase) {
  const auto places = group.transport->places();
  const bool own_device = lack.peers.size() == 1 && lack.peers.front() == lack.rank;
  return name_of_rank(lack.rank, places) + " waits for " +
         (own_device ? "its device" : names_of_ranks(lack.peers, places)) + " in " + phase.text();
}

/// "; no rank of host node2 answers: ...", or nothing.
std::string state_of(const Group& group, const Shortfall& lack) {
  const std::string state = state_of_ranks(lack.peers, lack.rank, group.transport->places());
  return state.empty() ? "" : "; " + state;
}

/// The first of `peers` whose process is no more; -1 where all live or nothing is known.
int dead_among(std::span<const int> peers, int own, std::span<const RankPlace> places) {
  if (places.empty()) return -1;
  const auto place_of = [&](int rank) { return places[static_cast<std::size_t>(rank)]; };
  for (const int peer : peers) {
    if (peer != own && state_of(place_of(peer), place_of(own)) == ProcessState::kDead) return peer;
  }
  return -1;
}

[[noreturn]] void leave(const Group& group, Awaited& awaited, std::uint64_t record, const std::string& sentence) {
  awaited.give_up();
  if (group.recorder != nullptr) group.recorder->end(record, FlightState::kGivenUp);
  fail(ErrorCode::kPeer, sentence);
}

/// Notes whom the wait lacks, and does not go on waiting for the dead or in a job that has failed.
void look_closer(const Group& group, Awaited& awaited, std::uint64_t record, const Phase& phase) {
  if (group.recorder == nullptr) return;  // nobody sees to it that only one rank speaks of it
  const Shortfall lack = awaited.lack();
  group.recorder->miss(record, lack.peers);
  const int dead = dead_among(lack.peers, lack.rank, group.transport->places());
  if (dead >= 0) {
    leave(group, awaited, record,
          who_waits(group, lack, phase) + ": the process of rank " + std::to_string(dead) + " has died");
  }
  if (group.recorder->job_has_failed()) {
    leave(group, awaited, record, who_waits(group, lack, phase) + ": another rank has failed" + state_of(group, lack));
  }
}

void run_out(const Group& group, Awaited& awaited, std::uint64_t record, const Phase& phase) {
  const Shortfall lack = awaited.lack();
  if (lack.peers.empty()) return;  // it has come to its end between two looks
  std::ostringstream sentence;
  sentence << who_waits(group, lack, phase) << ": " << awaited.seen(lack) << " after "
           << std::chrono::duration<double>(group.deadline).count() << " s" << state_of(group, lack);
  if (group.recorder != nullptr) group.recorder->miss(record, lack.peers);
  leave(group, awaited, record, sentence.str());
}

void wait_until_done(const Group& group, Awaited& awaited, std::uint64_t record, const Phase& phase) {
  constexpr std::chrono::milliseconds kCloserLook{100}, kOwnPause{250};
  Clock::time_point start = Clock::now(), last = start, look = start + kCloserLook;
  while (!awaited.done()) {
    const Clock::time_point now = Clock::now();
    if (now - last > kOwnPause) start += now - last;  // a rank that was stopped itself did not wait for others
    last = now;
    start = std::max(start, awaited.heard());
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

// A device on which messages wait for ever would be waited for by all that is then destroyed.
void wait(const Group& group, Awaited& awaited, std::uint64_t record, const Phase& phase) {
  try {
    wait_until_done(group, awaited, record, phase);
  } catch (...) {
    if (group.messages != nullptr) group.messages->abort();
    throw;
  }
}

void wait(const Group& group, Ticket ticket, const Phase& phase) {
  AwaitedTicket awaited(*group.transport, ticket);
  wait(group, awaited, ticket.record, phase);
}

void wait(const Group& group, const Signals& signals, std::span<const AwaitedSignal> awaited, std::uint64_t bytes_in,
          const Phase& phase) {
  const std::uint64_t record = group.recorder == nullptr ? 0 : group.recorder->begin(phase, 0, bytes_in);
  AwaitedSignals all(*group.transport, signals, awaited);
  wait(group, all, record, phase);
}

void wait(const Group& group, const Stream& stream, const Phase& phase) {
  AwaitedWork awaited(group, stream);
  wait(group, awaited, 0, phase);
}

void wait(const Group& group, const Event& event, const Phase& phase) {
  AwaitedWork awaited(group, event);
  wait(group, awaited, 0, phase);
}

}  // namespace coe
