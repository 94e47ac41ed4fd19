#include "comm/transport.h"

#include <sched.h>

#include <sstream>
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

}  // namespace

std::string Phase::text() const {
  std::ostringstream text;
  text << name;
  const char* separator = " of ";
  const auto add = [&](const char* what, int number) {
    if (number < 0) return;
    text << separator << what << number;
    separator = ", ";
  };
  add("layer ", layer);
  add("iteration ", iteration);
  add("chunk ", chunk);
  return text.str();
}

void wait(Transport& transport, Ticket ticket, std::chrono::milliseconds deadline, const Phase& phase) {
  const Clock::time_point start = Clock::now();
  while (!transport.test(ticket)) {
    const Clock::duration waited = Clock::now() - start;
    if (waited < deadline) {
      pause_after(waited);
      continue;
    }
    const Shortfall lack = transport.give_up(ticket);
    fail(ErrorCode::kPeer, "rank ", lack.rank, " waits for ", list_of(lack.peers), " in ", phase.text(), ": ",
         bytes_of(lack), " after ", std::chrono::duration<double>(deadline).count(), " s");
  }
}

}  // namespace coe
