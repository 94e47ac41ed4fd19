#pragma once

#include <optional>
#include <vector>

#include "comm/topology.h"
#include "comm/transport.h"

namespace coe {

/// The threads of the calling thread's team, each bound to one processor as long as this lives; then to what the caller
/// was bound to before.
class PinnedTeam {
 public:
  /// Views the topology, which may be nullptr where there are no processors: nothing is bound then.
  PinnedTeam(const Topology* topology, std::vector<int> processors, int threads);
  ~PinnedTeam();
  PinnedTeam(const PinnedTeam&) = delete;
  PinnedTeam& operator=(const PinnedTeam&) = delete;

  /// How many threads the team works with.
  int threads() const { return threads_; }

 private:
  const Topology* topology_;
  std::vector<int> processors_, before_;
  int threads_;
};

/// Gives every thread of every rank a core of its own; ranks of one thread are left as they are.
class Pinning {
 public:
  /// Reads this machine's topology where ranks have more than one thread and the build has hwloc.
  explicit Pinning(int threads);

  /// Binds the calling rank's team, where hwloc is there, among cores that the rank may use and no other rank of its
  /// machine gets. Where there are too few, one rank says so in a line on stderr; threads then share cores, and where
  /// even processors are too few, teams are smaller: threads that wait for one another's turn help nobody. Views this.
  /// Collective.
  PinnedTeam pin(Transport& world) const;

 private:
  int threads_;
  std::optional<Topology> topology_;
};

}  // namespace coe
