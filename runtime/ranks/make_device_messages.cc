#include "runtime/ranks/make_device_messages.h"

#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "comm/collectives.h"
#include "comm/nccl_messages.h"
#include "runtime/ranks/host_messages.h"

namespace coe {
namespace {

constexpr Phase kMeeting{"meeting the ranks' devices"};

/// The device, as no other of the job is called.
std::string name_of(const Group& group, Device device) {
  const auto places = group.transport->places();
  const std::string host =
      places.empty() ? "" : places[static_cast<std::size_t>(group.transport->lack_of({}).rank)].host.data();
  return host + " " + cuda_device_address(device.index);
}

bool have_devices_of_their_own(const Group& group, Device device) {
  const std::string mine = name_of(group, device);
  std::set<std::string> names;
  for (const std::vector<std::byte>& bytes : all_gather_bytes(group, std::as_bytes(std::span(mine)), kMeeting)) {
    names.emplace(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return std::ssize(names) == group.size();
}

bool nccl_shares_devices() {
  const char* value = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  return value != nullptr && std::string_view(value) == "1";
}

bool nccl_connects(const Group& group, Device device) {
  const bool apart = have_devices_of_their_own(group, device);
  return apart || nccl_shares_devices();
}

DeviceReach reach_by_itself(const Group& group, Device device) {
  if (group.transport->maps_devices()) return DeviceReach::kMapped;
  return nccl_missing().empty() && nccl_connects(group, device) ? DeviceReach::kNccl : DeviceReach::kHost;
}

}  // namespace

std::unique_ptr<DeviceMessages> make_device_messages(const Group& group, const RankDevice& own) {
  if (own.device == kCpu) return nullptr;
  const DeviceReach reach = own.reach == DeviceReach::kAuto ? reach_by_itself(group, own.device) : own.reach;
  const bool fixed = own.sizes == MessageSizes::kPadded;
  switch (reach) {
    case DeviceReach::kNccl:
      check(nccl_missing().empty(), "exchange.devices: \"nccl\" cannot be had: ", nccl_missing());
      check(nccl_connects(group, own.device),
            "exchange.devices: \"nccl\" needs a GPU for each rank, and some of these share one, which NCCL 2.30 and "
            "later "
            "allow processes with NCCL_MULTI_RANK_GPU_ENABLE=1; \"mapped\" and \"host\" do without");
      return make_nccl_messages(group, own.device, {.sizes_are_fixed = fixed});
    case DeviceReach::kHost: return std::make_unique<HostMessages>(group, fixed);
    default:
      check(group.transport->maps_devices(),
            "exchange.devices: \"mapped\" needs ranks whose GPUs see one another's memory, on one host; these do not, "
            "\"nccl\" and \"host\" do without");
      return nullptr;
  }
}

}  // namespace coe
