#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "comm/device_messages.h"
#include "comm/group.h"

namespace coe {

/// Empty, or one sentence: why this build has no NCCL.
std::string_view nccl_missing();

/// How messages by NCCL are made.
struct NcclOptions {
  bool sizes_are_fixed = false;
  /// An ncclComm_t of the same ranks on the same devices, which is used and never ended, not after a failure either:
  /// then only its owner can end what it waits for. nullptr: one of their own.
  void* communicator = nullptr;
};

/// Messages by NCCL, on a stream of their own that events tie to the others: sends and receives of one operation are
/// one group, a piece a call. A host waits for no device; it waits, with the group's deadline, until NCCL has
/// connected whom it talks to. Ranks need GPUs of their own, or NCCL 2.30 and NCCL_MULTI_RANK_GPU_ENABLE=1.
/// Views what the group views. Collective; throws kBadInput where this build has no NCCL, kPeer where NCCL does not
/// reach all ranks.
std::unique_ptr<DeviceMessages> make_nccl_messages(const Group& group, Device device, const NcclOptions& options = {});

}  // namespace coe
