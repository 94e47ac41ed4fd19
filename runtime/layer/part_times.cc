#include "runtime/layer/part_times.h"

namespace coe {

void StreamClock::enter(std::optional<Part> part) {
  if (part == now_) return;
  now_ = part;
  marks_.push_back(part);
  if (events_.size() < marks_.size()) events_.emplace_back(stream_->device());
  events_[marks_.size() - 1].record(*stream_);
}

}  // namespace coe
