#include "runtime/ranks/stop.h"

#include <array>
#include <cstdint>

#include "comm/collectives.h"

namespace coe {

bool agree_to_stop(const Group& group, const StopAsked& asked) {
  std::array<std::int32_t, 1> ranks{asked() ? 1 : 0};
  if (group.size() > 1) all_reduce_sum<std::int32_t>(group, ranks, {.name = "agreeing to stop"});
  return ranks[0] > 0;
}

void look_for_stop(const Group& group, const StopAsked& asked) {
  if (asked && agree_to_stop(group, asked)) throw Stopped();
}

}  // namespace coe
