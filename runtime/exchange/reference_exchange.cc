#include "runtime/exchange/reference_exchange.h"

#include <algorithm>
#include <cstring>
#include <numeric>

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

ReferenceExchange::ReferenceExchange(Group group, std::int64_t hidden, int slots)
    : group_(group), hidden_(hidden), slots_(static_cast<std::size_t>(slots)) {}

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

void ReferenceExchange::post(Slot& slot) {
  for (const Message& message : slot.sent.messages) {
    if (message.peer == group_.rank()) continue;
    for (const Piece& piece : message.pieces) bytes_sent_ += static_cast<std::int64_t>(piece.bytes);
  }
  slot.ticket = coe::post(group_, slot.sent.messages, slot.received.messages, slot.phase);
}

void ReferenceExchange::begin_dispatch(const DispatchPlan& plan, const Tensor& x, const Tensor& weights,
                                       const Tensor* scalar, int slot, const Phase& phase) {
  Slot& used = slot_at(slot);
  used.phase = phase;
  used.weights = weights;
  used.with_scalar = scalar != nullptr;
  used.sent.lay_out(plan.send_rows, hidden_, used.with_scalar);
  used.received.lay_out(plan.receive_rows, hidden_, used.with_scalar);
  gather_rows(x, plan.send_token, used.sent.rows);
  if (scalar != nullptr) {
    const Tensor column = scalar->reshaped({scalar->elements(), 1});
    gather_rows(column, plan.send_choice, used.sent.scalar.reshaped({plan.rows_sent(), 1}));
  }
  post(used);
}

ExpertRows ReferenceExchange::finish_dispatch(const DispatchPlan& plan, int slot, Arena& arena) {
  Slot& used = slot_at(slot);
  wait(group_, used.ticket, used.phase);
  const Blocks& landed = used.received;
  const std::int64_t rows = plan.expert_rows();
  const bool padded = rows > landed.rows.extent(0);
  const ExpertRows arrived{make_rows({rows, hidden_}, padded, arena),
                           make_rows({used.with_scalar ? rows : 0}, padded, arena), plan.expert_offsets};
  for_each_segment(plan, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
    copy_floats(landed.rows.data<float>() + from * hidden_, count * hidden_, arrived.rows.data<float>() + to * hidden_);
    if (used.with_scalar) copy_floats(landed.scalar.data<float>() + from, count, arrived.scalar.data<float>() + to);
  });
  return arrived;
}

ExpertRows ReferenceExchange::result_rows(const DispatchPlan& plan, int slot, Arena& arena) {
  Slot& used = slot_at(slot);
  const std::int64_t rows = plan.expert_rows();
  used.results = {arena.make<float>({rows, hidden_}), arena.make<float>({used.with_scalar ? rows : 0}),
                  plan.expert_offsets};
  return used.results;
}

void ReferenceExchange::begin_combine(const DispatchPlan& plan, int slot, const Phase& phase) {
  Slot& used = slot_at(slot);
  const ExpertRows& results = used.results;
  used.phase = phase;
  used.sent.lay_out(plan.receive_rows, hidden_, used.with_scalar);
  used.received.lay_out(plan.send_rows, hidden_, used.with_scalar);
  for_each_segment(plan, [&](std::int64_t to, std::int64_t from, std::int64_t count) {
    copy_floats(results.rows.data<float>() + from * hidden_, count * hidden_,
                used.sent.rows.data<float>() + to * hidden_);
    if (used.with_scalar) copy_floats(results.scalar.data<float>() + from, count, used.sent.scalar.data<float>() + to);
  });
  post(used);
}

void ReferenceExchange::finish_combine(const DispatchPlan& plan, int slot, const Tensor& sum, const Tensor* scalar,
                                       const TokensSummed& then) {
  Slot& used = slot_at(slot);
  wait(group_, used.ticket, used.phase);
  const auto* place = plan.place.data<std::int32_t>();
  rows_.assign(static_cast<std::size_t>(plan.place.elements()), nullptr);
  for (std::size_t j = 0; j < rows_.size(); ++j) {
    if (place[j] >= 0) rows_[j] = used.received.rows.data<float>() + place[j] * hidden_;
  }
  combine_rows(rows_, plan.offsets, used.weights, sum);
  if (then) then(0, sum.extent(0));
  if (scalar == nullptr) return;
  for (std::int64_t j = 0; j < scalar->elements(); ++j) {
    scalar->data<float>()[j] = place[j] < 0 ? 0.0F : used.received.scalar.data<float>()[place[j]];
  }
}

}  // namespace coe
