#include "comm/topology.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

[[noreturn]] void refuse() {
  fail(ErrorCode::kSystem, "topology: this build has no hwloc (libhwloc-dev), so threads cannot be bound to cores");
}

}  // namespace

bool topology_known() { return false; }

Topology::Topology() { refuse(); }
Topology::~Topology() = default;
std::vector<int> Topology::binding() const { refuse(); }
void Topology::bind(std::span<const int> /*processors*/) const { refuse(); }

}  // namespace coe
