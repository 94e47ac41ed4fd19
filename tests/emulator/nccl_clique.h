#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "tests/emulator/nccl.h"
#include "tests/emulator/nccl_calls.h"

namespace coe::emulator {

struct Operation {
  NcclCall::Kind kind;
  int peer;
  const void* from;
  void* to;
  std::size_t count;
  ncclDataType_t type;
  bool done = false;

  bool is_message() const { return kind == NcclCall::Kind::kSend || kind == NcclCall::Kind::kReceive; }
  bool agrees_with(const Operation& other) const;
  std::size_t bytes() const;
  std::string text() const;
};

/// `result`, of which ncclGetLastError then tells this thread why.
ncclResult_t refuse(ncclResult_t result, std::string why);
/// What refuse() was last told on this thread; empty before.
const std::string& last_refusal();

}  // namespace coe::emulator

/// A rank of a clique. It has one group at a time, so that a group's operations never meet those of an earlier one.
struct ncclComm {
  enum class Stage { kAwaited, kHere, kFinalized, kGone };

  int rank;
  Stage stage = Stage::kAwaited;
  bool told = false;  ///< by ncclCommGetAsyncError that all it began is done
  int groups = 0;
  std::vector<coe::emulator::Operation> group = {};

  bool lives() const { return stage == Stage::kHere || stage == Stage::kFinalized; }
  /// Of those that are not done; nullptr where there is none.
  template <class Wanted>
  coe::emulator::Operation* first(const Wanted& wanted) {
    const auto found = std::ranges::find_if(group, [&](const auto& one) { return !one.done && wanted(one); });
    return found == group.end() ? nullptr : &*found;
  }
};

namespace coe::emulator {

/// The ranks of one unique id, each called by a thread of its own. Misuse fails them all, for good.
class Clique {
 public:
  Clique(std::uint64_t key, int ranks);
  std::span<ncclComm> members() { return members_; }

  ncclResult_t join(int ranks, int rank, ncclComm_t* comm);
  /// Whether the member may post it now.
  ncclResult_t check(const ncclComm& member, const Operation& one);
  ncclResult_t post(ncclComm& member, std::vector<Operation> group);
  ncclResult_t state(ncclComm& member, ncclResult_t* state);
  ncclResult_t finalize(ncclComm& member);
  ncclResult_t leave(ncclComm& member, bool abort);
  /// No member lives.
  bool is_left();
  /// Why it failed; empty where it did not.
  const char* failure();

 private:
  ncclResult_t fail(const std::string& why);
  ncclResult_t check_ready(const ncclComm& member);
  bool is_waiting(const ncclComm& member) const;
  void advance();
  void deliver(int sender, Operation& send);
  bool finish_collective();

  std::mutex mutex_;
  const std::uint64_t key_;
  std::vector<ncclComm> members_;
  std::string failure_;
  bool news_ = false;  ///< since advance() last ran
};

}  // namespace coe::emulator
