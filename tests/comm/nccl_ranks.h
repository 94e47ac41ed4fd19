#pragma once

#include <cstdlib>
#include <string>

#include "comm/nccl_messages.h"
#include "kernels/memory/device.h"

namespace coe {

inline constexpr const char* kNoNccl = "needs NCCL, emulated or with a GPU for each rank";

/// Whether NCCL connects so many ranks that are threads here: on real devices those of one process share none. Those on
/// the emulator are then allowed to.
inline bool nccl_connects(int ranks) {
  if (!nccl_missing().empty() || cuda_devices() == 0) return false;
  if (cuda_devices() >= ranks) return true;
  return cuda_device_name(0).starts_with("emulator") && setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 1) == 0;
}

}  // namespace coe
