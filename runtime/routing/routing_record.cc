#include "runtime/routing/routing_record.h"

#include <algorithm>
#include <utility>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// Block `index` of `size` elements.
template <class T>
std::span<T> block_of(std::span<T> all, std::int64_t index, std::int64_t size) {
  return all.subspan(static_cast<std::size_t>(index * size), static_cast<std::size_t>(size));
}

/// None where the tensor is empty: then all are 1.
std::span<const std::uint8_t> flags_of(const Tensor& set) {
  if (set.elements() == 0) return {};
  return set.span<std::uint8_t>();
}

/// The same member function for reading and for counting.
template <class Record>
auto pairs_from(Record& record, std::int64_t layer, std::int64_t iteration) {
  const std::int64_t square = record.experts * record.experts, within = record.iterations - 1;
  const bool stays = iteration < within;
  auto& pairs = stays ? record.transitions : record.layer_transitions;
  return block_of(std::span(pairs), stays ? layer * within + iteration : layer, square);
}

}  // namespace

bool RoutingRecord::fits(const RoutingRecord& other) const {
  return model == other.model && layers == other.layers && iterations == other.iterations && experts == other.experts &&
         top_k == other.top_k && fixed_choices == other.fixed_choices;
}

std::span<const std::int64_t> RoutingRecord::load_of(std::int64_t layer, std::int64_t iteration) const {
  return block_of(std::span(load), layer * iterations + iteration, experts);
}

std::int64_t RoutingRecord::dropped_of(std::int64_t layer, std::int64_t iteration) const {
  return dropped[static_cast<std::size_t>(layer * iterations + iteration)];
}

std::span<const std::int64_t> RoutingRecord::coactivation_of(std::int64_t layer, std::int64_t iteration) const {
  return block_of(std::span(coactivation), layer * iterations + iteration, experts * experts);
}

std::span<const std::int64_t> RoutingRecord::transitions_from(std::int64_t layer, std::int64_t iteration) const {
  return pairs_from(*this, layer, iteration);
}

RoutingRecord empty_routing_record(const ModelConfig& config) {
  const LayerConfig& layer = config.layer;
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  const std::int64_t square = layer.experts * layer.experts, passes = config.layers * layer.iterations;
  RoutingRecord record;
  record.model = model_name(layer);
  record.layers = config.layers;
  record.iterations = layer.iterations;
  record.experts = layer.experts;
  record.top_k = layer.top_k;
  record.fixed_choices = layer.router != RouterKind::kRelu;
  record.load.resize(size(passes * layer.experts));
  record.dropped.resize(size(passes));
  record.coactivation.resize(size(passes * square));
  record.transitions.resize(size((passes - config.layers) * square));
  record.layer_transitions.resize(size((config.layers - 1) * square));
  return record;
}

std::span<const std::int32_t> RoutingCounter::Choices::of(std::size_t token) const {
  const auto begin = static_cast<std::size_t>(offsets[token]), end = static_cast<std::size_t>(offsets[token + 1]);
  return std::span(experts).subspan(begin, end - begin);
}

void RoutingCounter::count(std::int64_t layer, std::int64_t iteration, const Routing& routing) {
  std::swap(earlier_, now_);
  now_.offsets.assign(1, 0);
  now_.experts.clear();
  const auto offsets = routing.offsets.span<std::int32_t>();
  const auto chosen = flags_of(routing.chosen), kept = flags_of(routing.kept);
  for (std::int64_t t = 0; t < routing.tokens(); ++t) {
    const auto token = static_cast<std::size_t>(t);
    for (std::int32_t j = offsets[token]; j < offsets[token + 1]; ++j) {
      const bool has_place = kept.empty() || kept[static_cast<std::size_t>(j)] != 0;
      if (has_place) now_.experts.push_back(routing.expert.data<std::int32_t>()[j]);
    }
    now_.offsets.push_back(static_cast<std::int32_t>(now_.experts.size()));
  }
  const std::int64_t pass = layer * record_.iterations + iteration;
  const auto load = block_of(std::span(record_.load), pass, record_.experts);
  for (const std::int32_t expert : now_.experts) ++load[static_cast<std::size_t>(expert)];
  const std::int64_t wanted = chosen.empty() ? routing.choices() : std::ranges::count(chosen, 1);
  record_.dropped[static_cast<std::size_t>(pass)] += wanted - std::ssize(now_.experts);
  count_pairs(now_, now_, block_of(std::span(record_.coactivation), pass, record_.experts * record_.experts));
  if (pass == 0) {
    record_.tokens += routing.tokens();
  } else {
    const std::int64_t before = pass - 1;
    count_pairs(earlier_, now_, pairs_from(record_, before / record_.iterations, before % record_.iterations));
  }
}

void RoutingCounter::count_pairs(const Choices& from, const Choices& to, std::span<std::int64_t> pairs) const {
  if (from.offsets.size() != to.offsets.size())
    fail(ErrorCode::kInternal, "routing record: ", to.offsets.size() - 1, " tokens follow ", from.offsets.size() - 1);
  for (std::size_t token = 0; token + 1 < from.offsets.size(); ++token) {
    for (const std::int32_t first : from.of(token)) {
      const auto row = block_of(pairs, first, record_.experts);
      for (const std::int32_t second : to.of(token)) ++row[static_cast<std::size_t>(second)];
    }
  }
}

void RoutingCounter::count_step(std::int64_t step) {
  ++record_.steps;
  record_.last_step = step;
}

RoutingRecord RoutingCounter::sum(Group world) const {
  RoutingRecord sum = record_;
  const Phase phase{"routing record"};
  for (std::vector<std::int64_t>* counts :
       {&sum.load, &sum.dropped, &sum.coactivation, &sum.transitions, &sum.layer_transitions}) {
    all_reduce_sum<std::int64_t>(world, *counts, phase);
  }
  all_reduce_sum<std::int64_t>(world, {&sum.tokens, 1}, phase);
  return sum;
}

}  // namespace coe
