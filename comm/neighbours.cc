#include "comm/neighbours.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "comm/collectives.h"
#include "comm/wait.h"

namespace coe {
namespace {

constexpr Phase kTryOut{.name = "trying out shared memory"};
/// Ranks come to it together; whoever does not answer in this time gets messages.
constexpr std::chrono::milliseconds kPatience{5000};
constexpr std::size_t kProbeBytes = 4096;

/// One byte to and from each of `peers`.
std::vector<std::byte> swap_bytes(const Group& group, std::span<const int> peers, std::span<std::byte> mine) {
  std::vector<std::byte> theirs(peers.size());
  std::vector<Piece> out, in;
  std::vector<Message> sends, receives;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    out.push_back({&mine[i], 1});
    in.push_back({&theirs[i], 1});
  }
  for (std::size_t i = 0; i < peers.size(); ++i) {
    sends.push_back({peers[i], {&out[i], 1}});
    receives.push_back({peers[i], {&in[i], 1}});
  }
  wait(group, post(group, sends, receives, kTryOut), kTryOut);
  return theirs;
}

}  // namespace

/// One file to each of some ranks and one from each.
class Neighbours::Trade : public Awaited {
 public:
  Trade(Neighbours& neighbours, const Group& group, std::span<const int> peers, const Descriptor& mine)
      : neighbours_(neighbours), rank_(group.transport->lack_of({}).rank), peers_(peers), mine_(mine) {}

  bool done() override {
    while (sent_ < peers_.size() && send(peers_[sent_])) ++sent_;
    neighbours_.collect_letters();
    return sent_ == peers_.size() && missing().empty();
  }
  Shortfall lack() override {
    Shortfall lack;
    lack.rank = rank_;
    lack.peers = missing();
    if (lack.peers.empty() && sent_ < peers_.size()) lack.peers.push_back(peers_[sent_]);
    return lack;
  }
  void give_up() override {}
  std::string seen(const Shortfall& lack) override {
    return "memory of " + std::to_string(peers_.size() - lack.peers.size()) + " of " + std::to_string(peers_.size()) +
           " ranks has come";
  }

 private:
  bool send(int peer) {
    Box& box = neighbours_.boxes_.at(peer);
    DescriptorLetter letter{rank_, box.sent, Descriptor(dup(mine_.get()))};
    if (!neighbours_.mail_->send(box.address, letter)) return false;
    ++box.sent;
    return true;
  }
  std::vector<int> missing() const {
    std::vector<int> ranks;
    for (const int peer : peers_) {
      if (neighbours_.boxes_.at(peer).files.empty()) ranks.push_back(peer);
    }
    std::ranges::sort(ranks);
    return ranks;
  }

  Neighbours& neighbours_;
  int rank_;
  std::span<const int> peers_;
  const Descriptor& mine_;
  std::size_t sent_ = 0;
};

Neighbours::Neighbours(const Group& world, std::span<const RankPlace> places) : shared_(places.size(), false) {
  const RankPlace& own = places[static_cast<std::size_t>(world.rank())];
  MailAddress mine;
  std::optional<SharedMemory> probe;
  try {
    probe.emplace(SharedMemory::create(kProbeBytes));
    mail_.emplace();
    mine = mail_->address();
  } catch (const Error& error) {
    failure_ = error.what();
  }
  std::vector<MailAddress> addresses(places.size());
  all_gather<MailAddress>(world, {&mine, 1}, addresses, kTryOut);
  std::vector<int> candidates;
  for (int peer = 0; mail_ && peer < world.size(); ++peer) {
    const auto at = static_cast<std::size_t>(peer);
    const bool near = on_one_host(places[at], own) && places[at].network == own.network;
    if (peer == world.rank() || !near || addresses[at].name.front() == '\0') continue;
    candidates.push_back(peer);
    boxes_[peer].address = addresses[at];
  }
  if (!candidates.empty()) try_out(world, candidates, *probe);
  note_hindrance(places, world.rank());
}

void Neighbours::try_out(const Group& world, std::span<const int> candidates, const SharedMemory& probe) {
  std::memset(probe.data(), world.rank() & 0xff, kProbeBytes);
  try {
    Group patient = world;
    patient.deadline = std::min(patient.deadline, kPatience);
    Trade trade(*this, patient, candidates, probe.file());
    wait(patient, trade, 0, kTryOut);
  } catch (const Error& error) {
    failure_ = error.what();
  }
  std::vector<std::byte> mapped(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Box& box = boxes_.at(candidates[i]);
    try {
      if (box.files.empty()) continue;
      const SharedMemory theirs = SharedMemory::map(std::move(box.files.front()), kProbeBytes);
      box.files.pop_front();
      mapped[i] =
          theirs.data()[kProbeBytes - 1] == static_cast<std::byte>(candidates[i] & 0xff) ? std::byte{1} : std::byte{};
    } catch (const Error& error) {
      failure_ = error.what();
    }
  }
  const std::vector<std::byte> theirs = swap_bytes(world, candidates, mapped);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    shared_[static_cast<std::size_t>(candidates[i])] = mapped[i] == std::byte{1} && theirs[i] == std::byte{1};
  }
}

void Neighbours::note_hindrance(std::span<const RankPlace> places, int rank) {
  const RankPlace& own = places[static_cast<std::size_t>(rank)];
  for (int peer = 0; peer < std::ssize(places); ++peer) {
    const auto at = static_cast<std::size_t>(peer);
    if (peer == rank || shared_[at] || !on_one_host(places[at], own)) continue;
    const std::string why = places[at].network != own.network ? "they have network namespaces of their own"
                            : failure_.empty()                ? "the other one cannot"
                                                              : failure_;
    hindrance_ = name_of_rank(rank, places) + " and " + name_of_rank(peer, places) +
                 " of one host share no memory and send messages: " + why;
    return;
  }
}

void Neighbours::collect_letters() {
  while (std::optional<DescriptorLetter> letter = mail_->receive()) {
    const auto box = boxes_.find(letter->from);
    if (box == boxes_.end()) continue;
    if (letter->number != box->second.received++)
      fail(ErrorCode::kInternal, "neighbours: letter ", letter->number, " of rank ", letter->from,
           " comes out of turn");
    box->second.files.push_back(std::move(letter->file));
  }
}

std::vector<Descriptor> Neighbours::trade(const Group& group, std::span<const int> peers, const Descriptor& mine,
                                          const Phase& phase) {
  std::vector<Descriptor> all;
  if (peers.empty()) return all;
  Trade trade(*this, group, peers, mine);
  wait(group, trade, group.recorder == nullptr ? 0 : group.recorder->begin(phase, 0, 0), phase);
  for (const int peer : peers) {
    Box& box = boxes_.at(peer);
    all.push_back(std::move(box.files.front()));
    box.files.pop_front();
  }
  return all;
}

}  // namespace coe
