#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/descriptor_mail.h"
#include "comm/group.h"
#include "comm/rank_place.h"
#include "comm/shared_memory.h"

namespace coe {

/// Which ranks of a job can map one another's memory, found out once, and how they do it. A pair that shares memory
/// shares all of it: what cannot be mapped later is an error. Belongs to one rank and one thread.
class Neighbours {
 public:
  /// Tries it out with every rank of this host. `places` are those of all ranks of `world`, the whole job. Collective;
  /// throws kPeer as all collectives do.
  Neighbours(const Group& world, std::span<const RankPlace> places);

  /// Of a rank of the job; this one itself is none.
  bool shares_memory(int job_rank) const { return shared_[static_cast<std::size_t>(job_rank)]; }
  /// One sentence where a rank of this host shares no memory with this one: which, and why.
  const std::string& hindrance() const { return hindrance_; }

  /// Gives the open file `mine` to each of `peers`, ranks of the job that share memory with this one, and gets one of
  /// each, in their order. Called by all of them for one another. Throws kPeer after the group's deadline.
  std::vector<Descriptor> trade(const Group& group, std::span<const int> peers, const Descriptor& mine,
                                const Phase& phase);

 private:
  class Trade;
  /// What goes to and came from one rank.
  struct Box {
    MailAddress address;
    std::uint64_t sent = 0, received = 0;
    std::deque<Descriptor> files;  ///< Got and not yet asked for.
  };

  void try_out(const Group& world, std::span<const int> candidates, const SharedMemory& probe);
  void collect_letters();
  void note_hindrance(std::span<const RankPlace> places, int rank);

  std::optional<DescriptorMail> mail_;
  std::map<int, Box> boxes_;  ///< By rank of the job.
  std::vector<bool> shared_;
  std::string failure_, hindrance_;
};

}  // namespace coe
