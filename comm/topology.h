#pragma once

#include <span>
#include <vector>

struct hwloc_topology;

namespace coe {

/// False in a build without hwloc, where no Topology can be made.
bool topology_known();

/// The processors of this machine and the cores that they share, as hwloc sees them. Owns hwloc's description, which it
/// loads once. Thread-safe.
///
/// Processors go by the operating system's numbers. Binding concerns the calling thread.
class Topology {
 public:
  /// Throws kSystem where hwloc cannot tell.
  Topology();
  ~Topology();
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;

  /// The processors of each core, neighbouring cores beside each other.
  const std::vector<std::vector<int>>& cores() const { return cores_; }
  /// The processors that the calling thread may run on, ascending.
  std::vector<int> binding() const;
  /// Lets the calling thread run on these processors alone; at least one. Throws kSystem where the system refuses.
  void bind(std::span<const int> processors) const;

 private:
  hwloc_topology* handle_ = nullptr;
  std::vector<std::vector<int>> cores_;
};

}  // namespace coe
