#include "tests/emulator/nccl_clique.h"

#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <utility>

namespace coe::emulator {
namespace {

using Kind = NcclCall::Kind;
using Stage = ncclComm::Stage;

std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8: return 1;
    case ncclInt32:
    case ncclFloat32: return 4;
    case ncclFloat64: return 8;
  }
  return 0;
}

std::vector<std::byte> gathered(std::span<Operation* const> ones) {
  std::vector<std::byte> all;
  for (const Operation* one : ones) {
    const auto* const bytes = static_cast<const std::byte*>(one->from);
    all.insert(all.end(), bytes, bytes + one->bytes());
  }
  return all;
}

/// A part for each rank.
std::vector<std::byte> summed(std::span<Operation* const> ones) {
  const auto* const x = static_cast<const float*>(ones.front()->from);
  std::vector<float> sums(x, x + ones.front()->count * ones.size());
  for (const Operation* one : ones.subspan(1)) {
    std::ranges::transform(sums, std::span(static_cast<const float*>(one->from), sums.size()), sums.begin(),
                           std::plus<float>());
  }
  const auto bytes = std::as_bytes(std::span(sums));
  return {bytes.begin(), bytes.end()};
}

/// What ranks posted, of all cliques.
class Record {
 public:
  void add(std::uint64_t clique, int rank, int group, std::span<const Operation> operations) {
    const std::scoped_lock lock(mutex_);
    for (const Operation& one : operations) {
      calls_.emplace_back(clique, NcclCall{one.kind, rank, one.peer, one.bytes(), group});
    }
  }
  std::vector<NcclCall> take() {
    std::vector<Recorded> all;
    {
      const std::scoped_lock lock(mutex_);
      all.swap(calls_);
    }
    std::ranges::stable_sort(all, {}, [](const Recorded& one) { return std::pair(one.first, one.second.rank); });
    std::vector<NcclCall> calls;
    for (const Recorded& one : all) calls.push_back(one.second);
    return calls;
  }

 private:
  using Recorded = std::pair<std::uint64_t, NcclCall>;

  std::mutex mutex_;
  std::vector<Recorded> calls_;
};

Record record;
std::atomic<int> live = 0;
thread_local std::string refusal;

}  // namespace

std::vector<NcclCall> take_nccl_calls() { return record.take(); }
int live_nccl_communicators() { return live; }

ncclResult_t refuse(ncclResult_t result, std::string why) {
  refusal = std::move(why);
  return result;
}
const std::string& last_refusal() { return refusal; }

bool Operation::agrees_with(const Operation& other) const {
  return kind == other.kind && count == other.count && type == other.type;
}
std::size_t Operation::bytes() const { return count * size_of(type); }
std::string Operation::text() const {
  return fmt::format("{} of {} elements of type {}", kind == Kind::kAllGather ? "all-gather" : "reduce-scatter", count,
                     static_cast<int>(type));
}

Clique::Clique(std::uint64_t key, int ranks) : key_(key) {
  for (int rank = 0; rank < ranks; ++rank) members_.push_back({.rank = rank});
}

ncclResult_t Clique::join(int ranks, int rank, ncclComm_t* comm) {
  const std::scoped_lock lock(mutex_);
  const auto size = static_cast<int>(members_.size());
  if (ranks != size) return fail(fmt::format("rank {} is one of {}, others are of {}", rank, ranks, size));
  ncclComm& member = members_[static_cast<std::size_t>(rank)];
  if (member.stage != Stage::kAwaited) return fail(fmt::format("rank {} came twice", rank));
  member.stage = Stage::kHere;
  ++live;
  *comm = &member;
  return ncclInProgress;
}

ncclResult_t Clique::check(const ncclComm& member, const Operation& one) {
  const std::scoped_lock lock(mutex_);
  if (const ncclResult_t result = check_ready(member); result != ncclSuccess || !one.is_message()) return result;
  const auto size = static_cast<int>(members_.size());
  if (one.peer < 0 || one.peer >= size) {
    return fail(fmt::format("rank {}: its peer is {}, ranks are {}", member.rank, one.peer, size));
  }
  if (one.count == 0) return fail(fmt::format("rank {}: an empty message, peer {}", member.rank, one.peer));
  return ncclSuccess;
}

ncclResult_t Clique::post(ncclComm& member, std::vector<Operation> group) {
  const std::scoped_lock lock(mutex_);
  if (const ncclResult_t result = check_ready(member); result != ncclSuccess) return result;
  record.add(key_, member.rank, member.groups++, group);
  member.group = std::move(group);
  member.told = false;
  news_ = true;
  return ncclInProgress;
}

ncclResult_t Clique::state(ncclComm& member, ncclResult_t* state) {
  const std::scoped_lock lock(mutex_);
  if (!member.lives()) return fail(fmt::format("rank {}: asked for its state after its end", member.rank));
  if (failure_.empty() && std::exchange(news_, false)) advance();
  member.told = failure_.empty() && !is_waiting(member);
  *state = !failure_.empty() ? ncclInvalidUsage : member.told ? ncclSuccess : ncclInProgress;
  return ncclSuccess;
}

ncclResult_t Clique::finalize(ncclComm& member) {
  const std::scoped_lock lock(mutex_);
  if (const ncclResult_t result = check_ready(member); result != ncclSuccess) return result;
  member.stage = Stage::kFinalized;
  member.told = false;
  return ncclInProgress;
}

ncclResult_t Clique::leave(ncclComm& member, bool abort) {
  const std::scoped_lock lock(mutex_);
  if (!member.lives()) return fail(fmt::format("rank {}: ended twice", member.rank));
  if (!abort && !member.told) {
    return refuse(ncclInvalidUsage, fmt::format("rank {}: destroyed before all was said to be done", member.rank));
  }
  member.stage = Stage::kGone;
  member.group.clear();
  --live;
  return ncclSuccess;
}

bool Clique::is_left() {
  const std::scoped_lock lock(mutex_);
  return std::ranges::none_of(members_, &ncclComm::lives);
}

const char* Clique::failure() {
  const std::scoped_lock lock(mutex_);
  return failure_.c_str();
}

ncclResult_t Clique::fail(const std::string& why) {
  if (failure_.empty()) failure_ = why;
  return refuse(ncclInvalidUsage, why);
}

ncclResult_t Clique::check_ready(const ncclComm& member) {
  if (member.stage != Stage::kHere) return fail(fmt::format("rank {}: used after its end", member.rank));
  if (!failure_.empty()) return refuse(ncclInvalidUsage, failure_);
  if (!member.told) return fail(fmt::format("rank {}: used before all was said to be done", member.rank));
  return ncclSuccess;
}

bool Clique::is_waiting(const ncclComm& member) const {
  const Stage behind = member.stage == Stage::kFinalized ? Stage::kHere : Stage::kAwaited;
  return std::ranges::any_of(members_, [&](const ncclComm& one) { return one.stage <= behind; }) ||
         !std::ranges::all_of(member.group, &Operation::done);
}

void Clique::advance() {
  for (ncclComm& member : members_) {
    for (Operation& one : member.group) {
      if (!one.done && one.kind == Kind::kSend) deliver(member.rank, one);
    }
  }
  while (finish_collective()) {
  }
}

void Clique::deliver(int sender, Operation& send) {
  Operation* const receive = members_[static_cast<std::size_t>(send.peer)].first(
      [&](const Operation& one) { return one.kind == Kind::kReceive && one.peer == sender; });
  if (receive == nullptr) return;
  if (send.bytes() != receive->bytes()) {
    fail(fmt::format("rank {} sends {} bytes, rank {} receives {}", sender, send.bytes(), send.peer, receive->bytes()));
    return;
  }
  std::memcpy(receive->to, send.from, send.bytes());
  send.done = receive->done = true;
}

/// The next one, where all have posted it; false where they have not or do not agree.
bool Clique::finish_collective() {
  std::vector<Operation*> ones;
  for (ncclComm& member : members_) {
    Operation* const one = member.first([](const Operation& any) { return !any.is_message(); });
    if (one == nullptr) continue;
    if (!ones.empty() && !one->agrees_with(*ones.front())) {
      fail(fmt::format("rank {}: {}, but another rank: {}", member.rank, one->text(), ones.front()->text()));
      return false;
    }
    ones.push_back(one);
  }
  if (ones.size() < members_.size()) return false;
  const bool gathers = ones.front()->kind == Kind::kAllGather;
  const std::vector<std::byte> result = gathers ? gathered(ones) : summed(ones);
  const std::size_t bytes = gathers ? result.size() : ones.front()->bytes();
  for (std::size_t rank = 0; rank < ones.size(); ++rank) {
    if (bytes > 0) std::memcpy(ones[rank]->to, result.data() + (gathers ? 0 : rank * bytes), bytes);
    ones[rank]->done = true;
  }
  return true;
}

}  // namespace coe::emulator
