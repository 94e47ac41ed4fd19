#include "comm/stream_meeting.h"

namespace coe {
namespace {

constexpr std::size_t kLeastBytes = 64;

}  // namespace

StreamMeeting::StreamMeeting(Group group, Device device)
    : group_(group),
      control_(group.transport->make_window(Signals::bytes_for(group.size(), 1))),
      marks_(group.transport->make_window(kLeastBytes, device)),
      signals_(*control_, 0, group.rank(), 1) {}

void StreamMeeting::arrive(const Stream& stream) {
  if (group_.size() == 1) return;
  ++number_;
  marks_->mark(group_.rank(), number_, stream);
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer != group_.rank()) signals_.raise(peer, 0, number_);
  }
}

// A mark is held by all before its rank makes the next but one: who arrives at a meeting has followed the one before.
void StreamMeeting::follow(const Stream& stream, const Phase& phase) {
  awaited_.clear();
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer != group_.rank()) awaited_.push_back({peer, 0, number_});
  }
  if (awaited_.empty()) return;
  wait(group_, signals_, awaited_, 0, phase);
  for (const AwaitedSignal& awaited : awaited_) marks_->hold(awaited.source, number_, stream);
}

}  // namespace coe
