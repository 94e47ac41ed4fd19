#include "runtime/layer/row_room.h"

#include <cmath>
#include <limits>

#include "comm/collectives.h"
#include "kernels/memory/copy.h"
#include "runtime/layer/layer_size.h"
#include "runtime/ranks/read_back.h"

namespace coe {

RowRoom::RowRoom(double slack, const Stream& stream) : slack_(slack), stream_(&stream) {
  if (slack == 0 || stream.device() == kCpu) return;
  memory_ = Buffer(sizeof(std::int32_t), stream.device());
  overflow_ = Tensor(memory_.data(), DType::kI32, {1}, stream.device());
  clear(overflow_, stream);
}

std::int64_t RowRoom::rows(const LayerConfig& config, const Placement& placement, std::int64_t tokens) const {
  const std::int64_t all = most_rows(config, placement, tokens);
  // How many experts a ReLU chooses nobody knows; what is padded to the capacity is as much whoever gets it.
  const bool known = config.router != RouterKind::kRelu && !config.pad_to_capacity;
  if (overflow_.elements() == 0 || !known) return all;
  const double even =
      static_cast<double>(tokens * config.top_k * placement.most_held()) / static_cast<double>(config.experts);
  const double room = std::ceil(slack_ * even);
  return room < static_cast<double>(all) ? static_cast<std::int64_t>(room) : all;
}

void RowRoom::hold_all() { slack_ = std::numeric_limits<double>::infinity(); }

bool RowRoom::grow(const Group& world) {
  if (overflow_.elements() == 0) return false;
  constexpr Phase kPhase{"looking for room"};
  std::int64_t overflown = read_back<std::int32_t>(overflow_, world, *stream_, kPhase).front();
  all_reduce_sum<std::int64_t>(world, {&overflown, 1}, kPhase);
  if (overflown == 0) return false;
  clear(overflow_, *stream_);
  slack_ *= 2;
  return true;
}

}  // namespace coe
