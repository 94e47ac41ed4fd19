#include "runtime/layer/part_times.h"

#include "kernels/memory/device_calls.h"

namespace coe {

void StreamClock::start() {
  runs_ = true;
  now_.reset();
  marks_.clear();
}

void StreamClock::enter(std::optional<Part> part, const Place& place) {
  if (!runs_ || part == now_) return;
  now_ = part;
  if (marks_.empty()) began_ = StepTrace::now();
  marks_.push_back({part, place});
  if (events_.size() < marks_.size()) events_.emplace_back(stream_->device());
  events_[marks_.size() - 1].record(*stream_);
}

PartTimer::PartTimer(PartTimes& times, Part part, std::optional<Part> inside)
    : times_(times), part_(part), inside_(inside), place_(times.place), start_(StepTrace::now()) {
  if (times_.there == nullptr) return;
  cuda::push_range(kPartNames[static_cast<std::size_t>(part)].data());
  outer_ = times_.there->now();
  times_.there->enter(part, place_);
}

PartTimer::~PartTimer() {
  const double end = StepTrace::now();
  if (times_.trace != nullptr) times_.trace->add({Span::Track::kHost, part_, place_, start_, end});
  if (times_.there != nullptr) {
    times_.there->enter(outer_, place_);
    cuda::pop_range();
    return;
  }
  times_[part_] += end - start_;
  if (inside_) times_[*inside_] -= end - start_;
}

}  // namespace coe
