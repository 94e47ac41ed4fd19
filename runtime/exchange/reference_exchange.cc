#include "runtime/exchange/reference_exchange.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "comm/wait.h"
#include "kernels/routing/rows.h"

namespace coe {
namespace {

void copy_floats(const float* from, std::int64_t count, float* to) {
  if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
}

/// Calls move(landing, sorted, count) for every run of rows that lies together in the landing order, which is by
/// (source, expert), and in the sorted order, which is by (expert, source) with padding behind each expert.
template <class Move>
void for_each_segment(const DispatchPlan& plan, const Move& move) {
  const std::int64_t experts = plan.segments.extent(0), ranks = plan.segments.extent(1);
  const auto* segment = plan.segments.data<std::int32_t>();
  for (std::int64_t e = 0; e < experts; ++e) {
    std::int64_t sorted = plan.expert_offsets.data<std::int32_t>()[e];
    for (std::int64_t r = 0; r < ranks; ++r, segment += 2) {
      if (segment[1] > 0) move(segment[0], sorted, segment[1]);
      sorted += segment[1];
    }
  }
}

/// An uninitialised tensor, or zeros where not every element will be written.
Tensor make_rows(Shape shape, bool padded, Arena& arena) {
  return padded ? arena.zeros<float>(shape) : arena.make<float>(shape);
}

}  // namespace

/// One flight with blocks of its own; arrived rows and results live in its arena.
class ReferenceExchange::Buffers : public FlightBuffers {
 public:
  explicit Buffers(ReferenceExchange& exchange) : exchange_(exchange), group_(exchange.group_) {}

  void begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase);
  void await_arrival() override;
  ExpertRows arrived() override { return arrived_; }
  ExpertRows results() override { return results_; }
  void send_back(const Phase& phase) override;
  void await_return() override;
  void combine(const Combination& combination, const TokensSummed& then) override;
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  void release() noexcept override;

 private:
  bool with_scalar() const { return departure_.scalar != nullptr; }
  void post();

  ReferenceExchange& exchange_;
  Group group_;
  Posted* posted_ = nullptr;
  const DispatchPlan* plan_ = nullptr;
  Departure departure_;
  Phase phase_;
  Ticket ticket_;
  bool under_way_ = false;
  std::int64_t bytes_sent_ = 0;
  Arena arena_;
  ExpertRows arrived_, results_;
  std::vector<const float*> rows_;  ///< [choices] what came back for each
};

ReferenceExchange::ReferenceExchange(Group group, std::int64_t hidden) : group_(group), hidden_(hidden) {}

ReferenceExchange::~ReferenceExchange() = default;

Flight ReferenceExchange::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  Buffers& buffers = flights_.take([&] { return std::make_unique<Buffers>(*this); });
  Flight flight(buffers);
  buffers.begin(plan, departure, phase);
  return flight;
}

void ReferenceExchange::Blocks::lay_out(std::span<const std::size_t> rows_per_rank, std::int64_t hidden,
                                        bool with_scalar) {
  const std::size_t total = std::accumulate(rows_per_rank.begin(), rows_per_rank.end(), std::size_t{0});
  const std::size_t row_bytes = static_cast<std::size_t>(hidden) * sizeof(float);
  const std::size_t wanted = total * (row_bytes + sizeof(float));
  if (memory.bytes() < wanted) memory = Buffer(std::max(wanted, 2 * memory.bytes()));
  const auto count = static_cast<std::int64_t>(total);
  rows = Tensor(memory.data(), DType::kF32, {count, hidden});
  scalar = Tensor(memory.data() + rows.bytes(), DType::kF32, {with_scalar ? count : 0});

  pieces.resize(2 * rows_per_rank.size());
  messages.resize(rows_per_rank.size());
  std::size_t first = 0;
  for (std::size_t peer = 0; peer < rows_per_rank.size(); ++peer) {
    const std::size_t n = rows_per_rank[peer];
    pieces[2 * peer] = {rows.raw() + first * row_bytes, n * row_bytes};
    pieces[2 * peer + 1] = {scalar.raw() + (with_scalar ? first * sizeof(float) : 0),
                            with_scalar ? n * sizeof(float) : 0};
    messages[peer] = {static_cast<int>(peer), std::span(pieces).subspan(2 * peer, with_scalar ? 2 : 1)};
    first += n;
  }
}

void ReferenceExchange::Buffers::begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) {
  posted_ = &exchange_.posted_.take([] { return std::make_unique<Posted>(); });
  plan_ = &plan;
  departure_ = departure;
  phase_ = phase;
  bytes_sent_ = 0;
  arena_.reset();
  Blocks &sent = posted_->sent, &received = posted_->received;
  sent.lay_out(plan.send_rows, exchange_.hidden_, with_scalar());
  received.lay_out(plan.receive_rows, exchange_.hidden_, with_scalar());
  gather_rows(*departure.x, plan.send_token, sent.rows);
  if (with_scalar()) {
    const Tensor column = departure.scalar->reshaped({departure.scalar->elements(), 1});
    gather_rows(column, plan.send_choice, sent.scalar.reshaped({plan.rows_sent(), 1}));
  }
  post();
}

void ReferenceExchange::Buffers::post() {
  std::int64_t bytes = 0;
  for (const Message& message : posted_->sent.messages) {
    if (message.peer == group_.rank()) continue;
    for (const Piece& piece : message.pieces) bytes += static_cast<std::int64_t>(piece.bytes);
  }
  bytes_sent_ += bytes;
  exchange_.bytes_sent_ += bytes;
  under_way_ = true;
  ticket_ = coe::post(group_, posted_->sent.messages, posted_->received.messages, phase_);
}

void ReferenceExchange::Buffers::await_arrival() {
  wait(group_, ticket_, phase_);
  under_way_ = false;
  const Blocks& landed = posted_->received;
  const std::int64_t rows = plan_->expert_rows(), hidden = exchange_.hidden_, scalars = with_scalar() ? rows : 0;
  const bool padded = rows > landed.rows.extent(0);
  arrived_ = {make_rows({rows, hidden}, padded, arena_), make_rows({scalars}, padded, arena_), plan_->expert_offsets};
  for_each_segment(*plan_, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
    copy_floats(landed.rows.data<float>() + from * hidden, count * hidden, arrived_.rows.data<float>() + to * hidden);
    if (with_scalar()) copy_floats(landed.scalar.data<float>() + from, count, arrived_.scalar.data<float>() + to);
  });
  results_ = {arena_.make<float>({rows, hidden}), arena_.make<float>({scalars}), plan_->expert_offsets};
}

void ReferenceExchange::Buffers::send_back(const Phase& phase) {
  const std::int64_t hidden = exchange_.hidden_;
  Blocks& sent = posted_->sent;
  phase_ = phase;
  sent.lay_out(plan_->receive_rows, hidden, with_scalar());
  posted_->received.lay_out(plan_->send_rows, hidden, with_scalar());
  for_each_segment(*plan_, [&](std::int64_t to, std::int64_t from, std::int64_t count) {
    copy_floats(results_.rows.data<float>() + from * hidden, count * hidden, sent.rows.data<float>() + to * hidden);
    if (with_scalar()) copy_floats(results_.scalar.data<float>() + from, count, sent.scalar.data<float>() + to);
  });
  post();
}

void ReferenceExchange::Buffers::await_return() {
  wait(group_, ticket_, phase_);
  under_way_ = false;
}

void ReferenceExchange::Buffers::combine(const Combination& combination, const TokensSummed& then) {
  const Blocks& received = posted_->received;
  const auto* place = plan_->place.data<std::int32_t>();
  rows_.assign(static_cast<std::size_t>(plan_->place.elements()), nullptr);
  for (std::size_t j = 0; j < rows_.size(); ++j) {
    if (place[j] >= 0) rows_[j] = received.rows.data<float>() + place[j] * exchange_.hidden_;
  }
  const std::int64_t tokens = combination.sum.extent(0);
  combine_rows(rows_, plan_->offsets, departure_.weights, combination.sum);
  add_rest(combination, 0, tokens);
  if (then) then(0, tokens);
  const Tensor* scalar = combination.scalar;
  for (std::int64_t j = 0; scalar != nullptr && j < scalar->elements(); ++j) {
    scalar->data<float>()[j] = place[j] < 0 ? 0.0F : received.scalar.data<float>()[place[j]];
  }
}

void ReferenceExchange::Buffers::release() noexcept {
  if (posted_ != nullptr) {
    if (under_way_) {
      group_.transport->park(exchange_.posted_.remove(*posted_));
    } else {
      exchange_.posted_.give_back(*posted_);
    }
  }
  posted_ = nullptr;
  under_way_ = false;
  exchange_.flights_.give_back(*this);
}

}  // namespace coe
