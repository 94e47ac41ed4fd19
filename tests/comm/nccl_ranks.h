#pragma once

#include <string>

#include "comm/nccl_messages.h"
#include "kernels/memory/device.h"

namespace coe {

inline constexpr const char* kNoNccl = "needs NCCL, emulated or with a GPU for each rank";

/// Whether NCCL connects so many ranks that are threads here: on real devices those of one process share none.
inline bool nccl_connects(int ranks) {
  if (!nccl_missing().empty() || cuda_devices() == 0) return false;
  return cuda_devices() >= ranks || cuda_device_name(0).starts_with("emulator");
}

}  // namespace coe
