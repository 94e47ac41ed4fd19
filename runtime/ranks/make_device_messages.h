#pragma once

#include <memory>

#include "comm/device_messages.h"
#include "comm/group.h"
#include "runtime/config/config.h"

namespace coe {

/// The device that a rank computes on, and how it reaches the others'.
struct RankDevice {
  Device device;
  DeviceReach reach = DeviceReach::kAuto;
  MessageSizes sizes = MessageSizes::kHost;
};

/// Messages between the group's devices; nullptr where these see one another's memory, and on the CPU. By itself it
/// takes memory where all ranks see it, else NCCL where each rank has a GPU of its own (or NCCL_MULTI_RANK_GPU_ENABLE
/// is 1), else the hosts. Collective; throws kBadInput where devices cannot be reached as `own.reach` says.
std::unique_ptr<DeviceMessages> make_device_messages(const Group& group, const RankDevice& own);

}  // namespace coe
