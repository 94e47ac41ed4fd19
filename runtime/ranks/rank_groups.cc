#include "runtime/ranks/rank_groups.h"

#include <initializer_list>

#include "comm/make_transport.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

/// What fails in one group takes the others' back.
void link(std::initializer_list<DeviceMessages*> messages) {
  for (DeviceMessages* one : messages) {
    for (DeviceMessages* other : messages) {
      if (one != nullptr && other != nullptr && one != other) one->end_with(*other);
    }
  }
}

}  // namespace

void check_expert_parallel(std::int64_t expert_parallel, std::int64_t ranks) {
  const std::int64_t group = expert_parallel == 0 ? ranks : expert_parallel;
  check(group >= 1 && ranks % group == 0, "distributed.expert_parallel is ", expert_parallel,
        "; it must divide the number of ranks, ", ranks);
}

RankGroups::RankGroups(Transport& world, std::int64_t expert_parallel, std::chrono::milliseconds deadline,
                       FlightRecorder* recorder, const RankDevice& device)
    : world_(&world), alone_(make_transport("local")), deadline_(deadline), recorder_(recorder) {
  const std::int64_t ranks = world.size();
  check_expert_parallel(expert_parallel, ranks);
  const std::int64_t group = expert_parallel == 0 ? ranks : expert_parallel;
  world_messages_ = make_device_messages(this->world(), device);
  if (group == ranks) return;
  const int replica = static_cast<int>(world.rank() / group), member = static_cast<int>(world.rank() % group);
  experts_ = world.split(replica, member);
  replicas_ = world.split(member, replica);
  experts_messages_ = make_device_messages(experts(), device);
  replicas_messages_ = make_device_messages(replicas(), device);
  link({world_messages_.get(), experts_messages_.get(), replicas_messages_.get()});
}

}  // namespace coe
