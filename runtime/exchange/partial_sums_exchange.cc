#include "runtime/exchange/partial_sums_exchange.h"

#include <algorithm>
#include <bit>

#include "kernels/routing/rows.h"

namespace coe {
namespace {

/// Sums that are cleared and added up at once, so that they stay in a near cache.
constexpr std::int64_t kSumsAtOnce = 16;

/// [T, 1] the numbers of T tokens, as bits.
Tensor numbered(std::int64_t tokens, Arena& arena) {
  const Tensor ids = arena.make<float>({tokens, 1});
  for (std::int32_t t = 0; t < tokens; ++t) ids.data<float>()[t] = std::bit_cast<float>(t);
  return ids;
}

/// The weights [choices], also where an empty tensor stands for 1.
Tensor weights_of(const DispatchPlan& plan, const Tensor& weights, Arena& arena) {
  if (weights.elements() > 0) return weights;
  const Tensor ones = arena.make<float>(plan.place.shape());
  std::ranges::fill(ones.span<float>(), 1.0F);
  return ones;
}

/// Copies tokens [B, D] into the experts' rows [n, D].
void spread(const Tensor& tokens, const TokenRows& places, const Tensor& rows) {
  const std::int64_t hidden = tokens.extent(1);
  const auto *offsets = places.offsets.data<std::int32_t>(), *row = places.row.data<std::int32_t>();
  for (std::int64_t b = 0; b < tokens.extent(0); ++b) {
    for (std::int32_t i = offsets[b]; i < offsets[b + 1]; ++i) {
      std::copy_n(tokens.data<float>() + b * hidden, hidden, rows.data<float>() + row[i] * hidden);
    }
  }
}

}  // namespace

PartialSumsExchange::PartialSumsExchange(Group group, std::int64_t hidden, int in_flight)
    : group_(group),
      hidden_(hidden),
      ranks_(group.size(), group.size()),
      tokens_(group, hidden, in_flight, in_flight),
      choices_(group, 1, in_flight, in_flight),
      flights_(static_cast<std::size_t>(in_flight)) {}

DispatchPlan PartialSumsExchange::plan_by_rank(const DispatchPlan& plan, Arena& arena, const Phase& phase) const {
  const Routing routing = route_to_ranks(plan, arena);
  const Tensor mine = arena.make<std::int32_t>({1, group_.size()});
  const Tensor table = arena.make<std::int32_t>({group_.size(), group_.size()});
  count_choices(routing, 0, routing.tokens(), mine.span<std::int32_t>());
  all_gather<std::int32_t>(group_, mine.span<std::int32_t>(), table.span<std::int32_t>(), phase);
  return make_dispatch_plan(routing, table, ranks_, group_.rank(), arena);
}

void PartialSumsExchange::begin_dispatch(const DispatchPlan& plan, const Tensor& x, const Tensor& weights,
                                         const Tensor* scalar, int slot, const Phase& phase) {
  Flight& flight = flight_at(slot);
  flight.arena.reset();
  flight.by_rank = plan_by_rank(plan, flight.arena, phase);
  flight.ids = numbered(x.extent(0), flight.arena);
  flight.with_scalar = scalar != nullptr;
  // What a rank without tokens is given says nothing about other ranks' weights: some always travel.
  const Tensor beside = flight.with_scalar ? *scalar : weights_of(plan, weights, flight.arena);
  tokens_.begin_dispatch(flight.by_rank, x, {}, nullptr, place_of(slot), phase);
  choices_.begin_dispatch(plan, flight.ids, {}, &beside, place_of(slot), phase);
}

ExpertRows PartialSumsExchange::finish_dispatch(const DispatchPlan& plan, int slot, Arena& arena) {
  Flight& flight = flight_at(slot);
  const int place = place_of(slot);
  const ExpertRows tokens = tokens_.finish_dispatch(flight.by_rank, place, flight.arena);
  const ExpertRows choices = choices_.finish_dispatch(plan, place, flight.arena);
  flight.beside = choices.scalar;
  flight.rows = find_token_rows(plan, flight.by_rank, choices.rows, flight.arena);
  const bool padded = plan.expert_rows() > plan.rows_received();
  const Shape shape{plan.expert_rows(), hidden_};
  const Tensor rows = padded ? arena.zeros<float>(shape) : arena.make<float>(shape);
  spread(tokens.rows, flight.rows, rows);
  tokens_.release(place);
  return {rows, flight.with_scalar ? choices.scalar : Tensor(), plan.expert_offsets};
}

ExpertRows PartialSumsExchange::result_rows(const DispatchPlan& plan, int slot, Arena& arena) {
  Flight& flight = flight_at(slot);
  flight.results = flight.arena.make<float>({plan.expert_rows(), hidden_});
  const Tensor scalar = flight.with_scalar ? choices_.result_rows(plan, place_of(slot), arena).scalar : Tensor();
  return {flight.results, scalar, plan.expert_offsets};
}

void PartialSumsExchange::begin_combine(const DispatchPlan& plan, int slot, const Phase& phase) {
  Flight& flight = flight_at(slot);
  const int place = place_of(slot);
  add_up(flight, tokens_.result_rows(flight.by_rank, place, flight.arena).rows);
  choices_.release(place);
  tokens_.begin_combine(flight.by_rank, place, phase);
  if (flight.with_scalar) choices_.begin_combine(plan, place, phase);
}

void PartialSumsExchange::add_up(Flight& flight, const Tensor& sums) {
  const auto row = flight.rows.row.span<std::int32_t>();
  results_.resize(row.size());
  std::ranges::transform(row, results_.begin(),
                         [&](std::int64_t place) { return flight.results.data<float>() + place * hidden_; });
  Tensor weights;
  if (!flight.with_scalar) {
    weights = flight.arena.make<float>({std::ssize(row)});
    const auto* beside = flight.beside.data<float>();
    std::ranges::transform(row, weights.data<float>(), [&](std::int32_t place) { return beside[place]; });
  }
  for (std::int64_t first = 0; first < sums.extent(0); first += kSumsAtOnce) {
    const std::int64_t count = std::min(kSumsAtOnce, sums.extent(0) - first);
    combine_rows(results_, flight.rows.offsets.rows(first, count + 1), weights, sums.rows(first, count));
  }
}

void PartialSumsExchange::finish_combine(const DispatchPlan& plan, int slot, const Tensor& sum, const Tensor* scalar,
                                         const TokensSummed& then) {
  Flight& flight = flight_at(slot);
  tokens_.finish_combine(flight.by_rank, place_of(slot), sum, nullptr, then);
  if (scalar == nullptr) return;
  // Scalars alone come back with the choices, beside rows that nobody has written to.
  choices_.finish_combine(plan, place_of(slot), flight.ids, scalar, {});
}

}  // namespace coe
