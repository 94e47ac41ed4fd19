#include "runtime/ranks/disk_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "comm/collectives.h"
#include "comm/wait.h"
#include "runtime/ranks/outcome.h"

namespace coe {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kBetweenLines{10}, kLongestSilence{2};
constexpr int kSignsPerDeadline = 8;

/// What goes before everything else from one rank to another.
struct Sign {
  std::uint64_t last = 0;   ///< 1: the sender's work is over
  std::uint64_t bytes = 0;  ///< of its work so far; with the last, of what comes of it
};

/// One direction between this rank and another: one message at a time.
struct Line {
  Sign sign;
  std::string outcome;  ///< a rank's for rank 0; follows its last sign
  std::array<Piece, 2> pieces;
  std::array<Message, 2> messages;
  Ticket ticket;
  bool open = false;  ///< a message is under way
  bool over = false;  ///< the last one was sent, or was heard whole
  std::uint64_t done = 0;
  Clock::time_point heard = Clock::now();
};

struct Lines : PostedMemory {
  explicit Lines(std::size_t peers) : out(peers), in(peers) {}
  std::vector<Line> out, in;
};

Piece piece_of(Sign& sign) { return {reinterpret_cast<std::byte*>(&sign), sizeof sign}; }
Piece piece_of(std::string& text) { return {reinterpret_cast<std::byte*>(text.data()), text.size()}; }

/// The talk of ranks that work on a disk: those that do send signs to rank 0, which sends signs to all, until each has
/// sent its last one.
class DiskTalk : public WorkSigns, public Awaited {
 public:
  DiskTalk(const Group& group, const DiskPatience& patience, const Phase& phase);
  ~DiskTalk() override;
  DiskTalk(const DiskTalk&) = delete;
  DiskTalk& operator=(const DiskTalk&) = delete;

  void did(std::uint64_t bytes) override {
    done_ += bytes;
    if (Clock::now() - told_ >= between_) go_on();
  }
  /// Rank 0's: waits for the others' outcomes.
  std::vector<std::string> gather(std::string own);
  /// Rank 0's: tells all that a verdict of so many bytes follows.
  void announce(std::size_t bytes);
  /// The other ranks': sends the outcome, waits for the verdict, and returns how many bytes it has.
  std::size_t deliver(std::string own);

  bool done() override;
  Clock::time_point heard() const override;
  Shortfall lack() override;
  void give_up() override {}
  std::string seen(const Shortfall& /*lack*/) override { return "no sign of work on a disk"; }

 private:
  /// Calls visit(peer, its place among the lines) for the ranks that this one talks with.
  template <class Visit>
  void for_each_peer(const Visit& visit) const {
    if (group_.rank() != 0) return visit(0, std::size_t{0});
    for (int peer = 1; peer < group_.size(); ++peer) visit(peer, static_cast<std::size_t>(peer - 1));
  }
  bool is_over(std::size_t at) { return lines_->in[at].over && (!ending_ || (lines_->out[at].over && sent(at))); }
  void wait_for_peers();
  void go_on();
  void listen(int peer, std::size_t at, Piece piece);
  void hear(int peer, std::size_t at);
  bool sent(std::size_t at);
  void send(int peer, std::size_t at, Sign sign);
  void say_more(Clock::time_point now);

  Group group_;
  const DiskPatience& patience_;
  Phase phase_;
  std::unique_ptr<Lines> lines_;
  Clock::duration between_;
  Clock::time_point began_ = Clock::now(), told_ = began_, said_ = began_;
  std::uint64_t done_ = 0, last_bytes_ = 0;
  bool ending_ = false;  ///< this rank's last signs go out
};

DiskTalk::DiskTalk(const Group& group, const DiskPatience& patience, const Phase& phase)
    : group_(group),
      patience_(patience),
      phase_(phase),
      lines_(std::make_unique<Lines>(static_cast<std::size_t>(group.rank() == 0 ? group.size() - 1 : 1))),
      between_(std::min<Clock::duration>(patience.deadline / kSignsPerDeadline, kLongestSilence)) {
  for_each_peer([&](int peer, std::size_t at) { listen(peer, at, piece_of(lines_->in[at].sign)); });
}

DiskTalk::~DiskTalk() {
  const auto open = [](const Line& line) { return line.open; };
  if (std::ranges::none_of(lines_->out, open) && std::ranges::none_of(lines_->in, open)) return;
  group_.transport->park(std::move(lines_));
}

void DiskTalk::listen(int peer, std::size_t at, Piece piece) {
  Line& line = lines_->in[at];
  line.pieces[0] = piece;
  line.messages[0] = {peer, std::span(line.pieces).first(1)};
  line.ticket = group_.transport->post({}, std::span(line.messages).first(1));
  line.open = true;
}

void DiskTalk::hear(int peer, std::size_t at) {
  Line& line = lines_->in[at];
  if (!line.open || !group_.transport->test(line.ticket)) return;
  line.open = false;
  line.heard = Clock::now();
  const bool outcome_follows = group_.rank() == 0 && line.outcome.empty();
  if (line.sign.last == 0) {
    line.done = line.sign.bytes;
    return listen(peer, at, piece_of(line.sign));
  }
  if (!outcome_follows) {
    line.over = true;
    return;
  }
  line.outcome.resize(line.sign.bytes);
  listen(peer, at, piece_of(line.outcome));
}

bool DiskTalk::sent(std::size_t at) {
  Line& line = lines_->out[at];
  if (line.open && group_.transport->test(line.ticket)) line.open = false;
  return !line.open;
}

/// Once what was sent before is through.
void DiskTalk::send(int peer, std::size_t at, Sign sign) {
  Line& line = lines_->out[at];
  if (line.over || !sent(at)) return;
  line.sign = sign;
  line.pieces = {piece_of(line.sign), piece_of(line.outcome)};
  line.over = sign.last == 1;
  // Two messages: the other side learns from the first how long the second is.
  line.messages = {Message{peer, std::span(line.pieces).first(1)}, Message{peer, std::span(line.pieces).last(1)}};
  line.ticket = group_.transport->post(std::span(line.messages).first(line.over ? 2 : 1), {});
  line.open = true;
}

/// Hears what came, and gives signs when it is time to.
void DiskTalk::go_on() {
  const Clock::time_point now = Clock::now();
  for_each_peer([&](int peer, std::size_t at) { hear(peer, at); });
  if (now - told_ < between_) return;
  told_ = now;
  if (group_.recorder != nullptr) group_.recorder->alive(now);
  for_each_peer([&](int peer, std::size_t at) { send(peer, at, {0, done_}); });
  say_more(now);
}

void DiskTalk::say_more(Clock::time_point now) {
  if (group_.rank() != 0 || !patience_.say || now - said_ < kBetweenLines) return;
  said_ = now;
  std::uint64_t bytes = done_;
  for (const Line& line : lines_->in) bytes += line.done;
  const auto working = std::ranges::count(lines_->in, false, &Line::over);
  patience_.say(fmt::format("{}: {:.2f} GB after {:.0f} s, {} more ranks are at it", phase_.name,
                            1e-9 * static_cast<double>(bytes), std::chrono::duration<double>(now - began_).count(),
                            working));
}

bool DiskTalk::done() {
  go_on();
  bool all = true;
  for_each_peer([&](int peer, std::size_t at) {
    if (ending_) send(peer, at, {1, last_bytes_});
    all = is_over(at) && all;
  });
  return all;
}

Clock::time_point DiskTalk::heard() const {
  Clock::time_point longest_ago = Clock::time_point::max();
  for (const Line& line : lines_->in) {
    if (!line.over) longest_ago = std::min(longest_ago, line.heard);
  }
  return longest_ago == Clock::time_point::max() ? Clock::time_point() : longest_ago;
}

Shortfall DiskTalk::lack() {
  std::vector<int> silent, unfinished;
  const Clock::time_point overdue = Clock::now() - patience_.deadline;
  for_each_peer([&](int peer, std::size_t at) {
    if (is_over(at)) return;
    unfinished.push_back(peer);
    if (lines_->in[at].heard <= overdue) silent.push_back(peer);
  });
  return group_.transport->lack_of(silent.empty() ? unfinished : silent);
}

void DiskTalk::wait_for_peers() {
  const std::uint64_t record = group_.recorder == nullptr ? 0 : group_.recorder->begin(phase_, 0, 0);
  Group patient = group_;
  patient.deadline = patience_.deadline;
  wait(patient, *this, record, phase_);
}

std::vector<std::string> DiskTalk::gather(std::string own) {
  wait_for_peers();
  std::vector<std::string> outcomes{std::move(own)};
  for (Line& line : lines_->in) outcomes.push_back(std::move(line.outcome));
  return outcomes;
}

void DiskTalk::announce(std::size_t bytes) {
  ending_ = true;
  last_bytes_ = bytes;
  wait_for_peers();
}

std::size_t DiskTalk::deliver(std::string own) {
  ending_ = true;
  last_bytes_ = own.size();
  lines_->out.front().outcome = std::move(own);
  wait_for_peers();
  return lines_->in.front().sign.bytes;
}

}  // namespace

std::string work_on_disk(Group group, const DiskPatience& patience, const Phase& phase, const DiskWork& work,
                         const DiskConclusion& conclude) {
  DiskTalk talk(group, patience, phase);
  std::string outcome = outcome_of([&] { return work(talk); });
  if (group.rank() == 0) {
    std::vector<std::string> outcomes = talk.gather(std::move(outcome));
    outcome = outcome_of([&] {
      for (std::string& one : outcomes) one = result_of(std::move(one));
      return conclude(std::move(outcomes), talk);
    });
    talk.announce(outcome.size());
  } else {
    outcome.resize(talk.deliver(std::move(outcome)));
  }
  broadcast(group, std::as_writable_bytes(std::span(outcome)), 0, phase);
  return result_of(std::move(outcome));
}

}  // namespace coe
