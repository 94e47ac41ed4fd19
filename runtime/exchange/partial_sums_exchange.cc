#include "runtime/exchange/partial_sums_exchange.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <utility>
#include <vector>

#include "comm/posted_collective.h"
#include "kernels/memory/arena.h"
#include "kernels/routing/rows.h"
#include "runtime/exchange/tokens_by_rank.h"

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

/// What a flight's table of ranks is gathered in; parked where the gather does not end.
struct GatheredTable : PostedMemory {
  Arena arena;
  PostedCollective gather;
};

}  // namespace

/// One flight: of tokens, and of choices beside them.
class PartialSumsExchange::Buffers : public FlightBuffers {
 public:
  explicit Buffers(PartialSumsExchange& exchange) : exchange_(exchange), group_(exchange.group_) {}

  void begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase);
  void await_arrival() override;
  ExpertRows arrived() override;
  ExpertRows results() override;
  void send_back(const Phase& phase) override;
  void await_return() override;
  void combine(const Combination& combination, const TokensSummed& then) override;
  std::int64_t bytes_sent() const override {
    return beside_bytes_ + tokens_.bytes_sent() + (with_scalar() ? choices_.bytes_sent() : 0);
  }
  void release() noexcept override;

 private:
  bool with_scalar() const { return departure_.scalar != nullptr; }
  void begin_flights();
  void add_up(const Tensor& sums);

  PartialSumsExchange& exchange_;
  Group group_;
  const DispatchPlan* plan_ = nullptr;
  Departure departure_;
  Phase phase_;
  Arena arena_;  ///< of all below
  std::unique_ptr<GatheredTable> table_ = std::make_unique<GatheredTable>();
  bool gathering_ = false;
  std::int64_t beside_bytes_ = 0;  ///< of choices that do not come back
  Routing to_ranks_;
  Tensor counts_;
  DispatchPlan by_rank_;  ///< of the tokens
  Tensor ids_;            ///< [T, 1] this rank's tokens' numbers, as bits
  Tensor beside_here_;    ///< [choices] what travels beside them: a scalar, or else their weight
  Tensor beside_;         ///< [expert rows] the same at the experts
  TokenRows rows_;
  Tensor arrived_, results_;             ///< [expert rows, D]
  std::vector<const float*> addresses_;  ///< [rows received] by (token, expert)
  Flight tokens_, choices_;
};

PartialSumsExchange::PartialSumsExchange(Group group, std::int64_t hidden)
    : group_(group), hidden_(hidden), ranks_(group.size(), group.size()), tokens_(group, hidden), choices_(group, 1) {}

PartialSumsExchange::~PartialSumsExchange() = default;

Flight PartialSumsExchange::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  Buffers& buffers = flights_.take([&] { return std::make_unique<Buffers>(*this); });
  Flight flight(buffers);
  buffers.begin(plan, departure, phase);
  return flight;
}

void PartialSumsExchange::Buffers::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  plan_ = &plan;
  departure_ = departure;
  phase_ = phase;
  beside_bytes_ = 0;
  arena_.reset();
  table_->arena.reset();
  to_ranks_ = route_to_ranks(plan, arena_);
  const std::int64_t ranks = group_.size();
  const Tensor mine = table_->arena.make<std::int32_t>({1, ranks});
  counts_ = table_->arena.make<std::int32_t>({ranks, ranks});
  count_choices(to_ranks_, 0, to_ranks_.tokens(), mine.span<std::int32_t>());
  gathering_ = true;
  table_->gather.all_gather(group_, std::as_bytes(mine.span<std::int32_t>()),
                            std::as_writable_bytes(counts_.span<std::int32_t>()), phase);
}

void PartialSumsExchange::Buffers::begin_flights() {
  by_rank_ = make_dispatch_plan(to_ranks_, counts_, exchange_.ranks_, group_.rank(), arena_);
  ids_ = numbered(departure_.x->extent(0), arena_);
  // What a rank without tokens is given says nothing about other ranks' weights: some always travel.
  beside_here_ = with_scalar() ? *departure_.scalar : weights_of(*plan_, departure_.weights, arena_);
  tokens_ = exchange_.tokens_.begin(by_rank_, {.x = departure_.x, .weights = {}}, phase_);
  choices_ = exchange_.choices_.begin(*plan_, {.x = &ids_, .weights = {}, .scalar = &beside_here_}, phase_);
}

void PartialSumsExchange::Buffers::await_arrival() {
  table_->gather.done().get();
  gathering_ = false;
  begin_flights();
  const ExpertRows tokens = tokens_.arrived().get(), choices = choices_.arrived().get();
  // Kept here, since the choices' own rows go before the results are back.
  beside_ = arena_.make<float>(choices.scalar.shape());
  std::ranges::copy(choices.scalar.span<float>(), beside_.data<float>());
  rows_ = find_token_rows(*plan_, by_rank_, choices.rows, arena_);
  if (!with_scalar()) {
    beside_bytes_ = choices_.bytes_sent();
    choices_ = {};  // only scalars come back
  }
  const bool padded = plan_->expert_rows() > plan_->rows_received();
  const Shape shape{plan_->expert_rows(), exchange_.hidden_};
  arrived_ = padded ? arena_.zeros<float>(shape) : arena_.make<float>(shape);
  results_ = arena_.make<float>(shape);
  spread(tokens.rows, rows_, arrived_);
}

ExpertRows PartialSumsExchange::Buffers::arrived() {
  return {arrived_, with_scalar() ? beside_ : Tensor(), plan_->expert_offsets};
}

ExpertRows PartialSumsExchange::Buffers::results() {
  return {results_, with_scalar() ? choices_.results().scalar : Tensor(), plan_->expert_offsets};
}

void PartialSumsExchange::Buffers::send_back(const Phase& phase) {
  add_up(tokens_.results().rows);
  tokens_.send_back(phase);
  if (with_scalar()) choices_.send_back(phase);
}

void PartialSumsExchange::Buffers::add_up(const Tensor& sums) {
  const auto row = rows_.row.span<std::int32_t>();
  addresses_.resize(row.size());
  std::ranges::transform(row, addresses_.begin(),
                         [&](std::int64_t place) { return results_.data<float>() + place * exchange_.hidden_; });
  Tensor weights;
  if (!with_scalar()) {
    weights = arena_.make<float>({std::ssize(row)});
    const auto* beside = beside_.data<float>();
    std::ranges::transform(row, weights.data<float>(), [&](std::int32_t place) { return beside[place]; });
  }
  for (std::int64_t first = 0; first < sums.extent(0); first += kSumsAtOnce) {
    const std::int64_t count = std::min(kSumsAtOnce, sums.extent(0) - first);
    combine_rows(addresses_, rows_.offsets.rows(first, count + 1), weights, sums.rows(first, count));
  }
}

void PartialSumsExchange::Buffers::await_return() {
  tokens_.await_return();
  if (with_scalar()) choices_.await_return();
}

void PartialSumsExchange::Buffers::combine(const Combination& combination, const TokensSummed& then) {
  Combination rows = combination;
  rows.scalar = nullptr;
  tokens_.combine(rows, then).take();
  // Scalars come back with the choices, beside rows that nobody has written to.
  if (combination.scalar != nullptr) choices_.combine({.sum = ids_, .scalar = combination.scalar}, {}).take();
}

void PartialSumsExchange::Buffers::release() noexcept {
  tokens_ = {};
  choices_ = {};
  if (gathering_) {
    group_.transport->park(std::exchange(table_, std::make_unique<GatheredTable>()));
    gathering_ = false;
  }
  exchange_.flights_.give_back(*this);
}

}  // namespace coe
