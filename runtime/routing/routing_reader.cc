#include "runtime/routing/routing_reader.h"

#include "comm/wait.h"
#include "kernels/memory/copy.h"

namespace coe {
namespace {

constexpr std::array kParts = {&Routing::offsets, &Routing::expert, &Routing::chosen, &Routing::kept};

std::size_t bytes_of(const Routing& routing) {
  std::size_t bytes = 0;
  for (const auto part : kParts) bytes += (routing.*part).bytes();
  return bytes;
}

/// Without what stands behind the last choice.
Routing trimmed(Routing routing) {
  const std::int64_t choices = routing.offsets.data<std::int32_t>()[routing.tokens()];
  routing.expert = routing.expert.rows(0, choices);
  for (const auto flags : {&Routing::chosen, &Routing::kept}) {
    if ((routing.*flags).elements() > 0) routing.*flags = (routing.*flags).rows(0, choices);
  }
  return routing;
}

}  // namespace

void RoutingReader::count_in(RoutingCounter* counter) {
  finish();
  counter_ = counter;
}

void RoutingReader::add(std::int64_t layer, std::int64_t iteration, const Routing& routing) {
  if (counter_ == nullptr) fail(ErrorCode::kInternal, "routing reader: there is no counter");
  if (stream_->device() == kCpu) return counter_->count(layer, iteration, routing);
  if (under_way_ == kMostUnderWay) count_oldest();
  Copy& copy = copies_[(oldest_ + under_way_++) % kMostUnderWay];
  copy.layer = layer;
  copy.iteration = iteration;
  copy.routing = {};
  copy.routing.experts = routing.experts;
  const std::size_t bytes = bytes_of(routing);
  if (bytes > copy.memory.bytes()) copy.memory = PinnedBuffer(bytes + bytes / 4, stream_->device());
  std::byte* next = copy.memory.data();
  for (const auto part : kParts) {
    const Tensor& there = routing.*part;
    if (there.elements() == 0) continue;
    const Tensor here(next, there.dtype(), there.shape());
    coe::copy(there, here, *stream_);
    copy.routing.*part = here;
    next += there.bytes();
  }
  if (!copy.there) copy.there = Event(stream_->device());
  copy.there->record(*stream_);
}

void RoutingReader::count_oldest() {
  const Copy& copy = copies_[oldest_];
  wait(group_, *copy.there, {"reading a routing"});
  counter_->count(copy.layer, copy.iteration, trimmed(copy.routing));
  oldest_ = (oldest_ + 1) % kMostUnderWay;
  --under_way_;
}

void RoutingReader::finish() {
  while (under_way_ > 0) count_oldest();
}

}  // namespace coe
