#include "comm/topology.h"

#include <hwloc.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "kernels/memory/error.h"

namespace coe {
namespace {

struct FreeBitmap {
  void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, FreeBitmap>;

std::vector<int> numbers_in(hwloc_const_bitmap_t bitmap) {
  std::vector<int> numbers;
  for (int i = hwloc_bitmap_first(bitmap); i >= 0; i = hwloc_bitmap_next(bitmap, i)) numbers.push_back(i);
  return numbers;
}

}  // namespace

bool topology_known() { return true; }

Topology::Topology() {
  if (hwloc_topology_init(&handle_) != 0) fail(ErrorCode::kSystem, "topology: hwloc does not start");
  if (hwloc_topology_load(handle_) != 0) {
    hwloc_topology_destroy(handle_);
    fail(ErrorCode::kSystem, "topology: hwloc cannot read this machine's: ", std::strerror(errno));
  }
  // Where the system does not tell cores apart, a processor counts as one.
  const bool has_cores = hwloc_get_nbobjs_by_type(handle_, HWLOC_OBJ_CORE) > 0;
  const hwloc_obj_type_t type = has_cores ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  for (hwloc_obj_t core = nullptr; (core = hwloc_get_next_obj_by_type(handle_, type, core)) != nullptr;) {
    cores_.push_back(numbers_in(core->cpuset));
  }
}

Topology::~Topology() { hwloc_topology_destroy(handle_); }

std::vector<int> Topology::binding() const {
  const Bitmap bitmap(hwloc_bitmap_alloc());
  if (hwloc_get_cpubind(handle_, bitmap.get(), HWLOC_CPUBIND_THREAD) != 0) {
    fail(ErrorCode::kSystem, "topology: a thread's binding cannot be read: ", std::strerror(errno));
  }
  return numbers_in(bitmap.get());
}

void Topology::bind(std::span<const int> processors) const {
  const Bitmap bitmap(hwloc_bitmap_alloc());
  for (const int processor : processors) hwloc_bitmap_set(bitmap.get(), static_cast<unsigned>(processor));
  if (hwloc_set_cpubind(handle_, bitmap.get(), HWLOC_CPUBIND_THREAD) != 0) {
    fail(ErrorCode::kSystem, "topology: a thread cannot be bound to processor ", processors.front(), ": ",
         std::strerror(errno));
  }
}

}  // namespace coe
