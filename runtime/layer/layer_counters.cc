#include "runtime/layer/layer_counters.h"

#include <algorithm>
#include <numeric>

#include "kernels/memory/copy.h"
#include "kernels/routing/tally.h"
#include "runtime/ranks/read_back.h"

namespace coe {

LayerCounters::LayerCounters(std::int64_t iterations, std::int64_t experts, const Stream& stream)
    : experts_(experts), stream_(&stream), counters_(static_cast<std::size_t>(iterations)) {
  for (IterationCounters& counters : counters_) counters.load.resize(static_cast<std::size_t>(experts));
  if (stream.device() == kCpu) return;
  const Shape shape{iterations, 2 * experts + 1};
  memory_ = Buffer(static_cast<std::size_t>(shape.elements()) * sizeof(std::int64_t), stream.device());
  there_ = Tensor(memory_.data(), DType::kI64, shape, stream.device());
  coe::clear(there_, stream);
}

void LayerCounters::clear() {
  for (IterationCounters& counters : counters_) {
    std::ranges::fill(counters.load, 0);
    counters.dropped = counters.rerouted = counters.bytes_sent = 0;
  }
  if (there_.elements() > 0) coe::clear(there_, *stream_);
}

void LayerCounters::add_chosen(int t, const Routed& routed) {
  std::vector<std::int64_t>& load = of(t).load;
  const bool there = there_.elements() > 0;
  tally(routed.counts, there ? chosen(t) : Tensor(load.data(), DType::kI64, {experts_}), *stream_);
}

void LayerCounters::add_sent(int t, std::int64_t chosen, const Routed& routed, const DispatchPlan& plan,
                             const Tensor& rows) {
  const Routing& routing = routed.routing;
  if (there_.elements() == 0) {
    of(t).rerouted += routing.choices() - chosen;
    of(t).dropped += chosen - plan.rows_sent();
    return;
  }
  tally(rows, sent(t), *stream_);
  if (routing.chosen.elements() == 0) return;
  cuda::tally_rerouted(routing.offsets, routing.chosen, plan.places.holder, rerouted(t), *stream_);
}

std::span<IterationCounters> LayerCounters::read(const Group& group) {
  if (there_.elements() == 0) return counters_;
  constexpr Phase kPhase{"reading counters"};
  const std::vector<std::int64_t> numbers = read_back<std::int64_t>(there_, group, *stream_, kPhase);
  auto next = numbers.begin();
  for (IterationCounters& counters : counters_) {
    const auto sent = next + experts_, end = sent + experts_;
    counters.load.assign(next, sent);
    counters.dropped = std::accumulate(next, sent, std::int64_t{0}) - std::accumulate(sent, end, std::int64_t{0});
    counters.rerouted = *end;
    next = end + 1;
  }
  return counters_;
}

}  // namespace coe
