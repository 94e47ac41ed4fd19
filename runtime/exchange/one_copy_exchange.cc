#include "runtime/exchange/one_copy_exchange.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/routing/rows.h"
#include "runtime/routing/token_blocks.h"

namespace coe {
namespace {

constexpr std::int64_t kFewestRows = 64;

std::vector<bool> reached_by_message(const Window& window) {
  std::vector<bool> ranks;
  for (int rank = 0; rank < window.size(); ++rank) ranks.push_back(window.of(rank) == nullptr);
  return ranks;
}

/// Zeros behind the rows of each expert.
void clear_padding(const DispatchPlan& plan, const ExpertRows& rows) {
  const std::int64_t experts = plan.segments.extent(0), ranks = plan.segments.extent(1);
  const auto* offsets = plan.expert_offsets.data<std::int32_t>();
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::int32_t* segment = plan.segments.data<std::int32_t>() + e * ranks * 2;
    std::int64_t end = offsets[e];
    for (std::int64_t r = 0; r < ranks; ++r) end += segment[2 * r + 1];
    std::ranges::fill(rows.rows.rows(end, offsets[e + 1] - end).span<float>(), 0.0F);
    if (rows.scalar.elements() > 0) std::ranges::fill(rows.scalar.rows(end, offsets[e + 1] - end).span<float>(), 0.0F);
  }
}

}  // namespace

OneCopyExchange::OneCopyExchange(Group group, std::int64_t hidden, int slots, int in_flight, std::int64_t rows)
    : group_(group),
      hidden_(hidden),
      control_(group.transport->make_window(Signals::bytes_for(group.size(), 2 * (slots + in_flight)))),
      signals_(*control_, 0, group.rank(), 2 * (slots + in_flight)),
      results_(static_cast<std::size_t>(in_flight)) {
  for (int slot = 0; slot < slots; ++slot) {
    slots_.push_back(
        {.arrived = {}, .mail = RowMail(hidden, reached_by_message(*control_)), .phase = {}, .weights = {}});
  }
  for (Results& results : results_) results.told.resize(static_cast<std::size_t>(group.size()));
  if (rows == 0) return;
  for (Slot& slot : slots_) grow(slot.arrived, rows);
  for (Results& results : results_) grow(results.block, rows);
}

std::size_t OneCopyExchange::window_bytes() const {
  std::size_t bytes = control_->bytes();
  const auto add = [&](const Block& block) { bytes += block.window == nullptr ? 0 : block.window->bytes(); };
  for (const Slot& slot : slots_) add(slot.arrived);
  for (const Results& results : results_) add(results.block);
  return bytes;
}

void OneCopyExchange::grow(Block& block, std::int64_t rows) {
  if (rows <= block.room && block.window != nullptr) return;
  growths_ += block.window != nullptr ? 1 : 0;
  block.room = std::max({kFewestRows, rows, 2 * block.room});
  block.window = group_.transport->make_window(static_cast<std::size_t>(block.room * (hidden_ + 1)) * sizeof(float));
}

ExpertRows OneCopyExchange::rows_in(const Block& block, const DispatchPlan& plan, int rank, bool with_scalar) const {
  const std::int64_t rows = plan.rows_at.data<std::int32_t>()[rank];
  std::byte* memory = block.window->of(rank);
  return {Tensor(memory, DType::kF32, {rows, hidden_}),
          Tensor(memory + static_cast<std::size_t>(block.room * hidden_) * sizeof(float), DType::kF32,
                 {with_scalar ? rows : 0}),
          plan.expert_offsets};
}

void OneCopyExchange::wait_for(std::span<const std::size_t> rows, int channel, std::uint64_t number,
                               const Phase& phase) {
  awaited_.clear();
  std::size_t bytes = 0;
  for (int peer = 0; peer < group_.size(); ++peer) {
    const std::size_t count = rows[static_cast<std::size_t>(peer)];
    if (count == 0 || peer == group_.rank() || !mapped(peer)) continue;
    awaited_.push_back({peer, channel, number});
    bytes += count * static_cast<std::size_t>(hidden_) * sizeof(float);
  }
  if (!awaited_.empty()) wait(group_, signals_, awaited_, bytes, phase);
}

void OneCopyExchange::tell(std::span<const std::size_t> rows, int channel, std::uint64_t number) const {
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (rows[static_cast<std::size_t>(peer)] > 0 && mapped(peer)) signals_.raise(peer, channel, number);
  }
}

std::int64_t OneCopyExchange::bytes_elsewhere(std::span<const std::size_t> rows, bool with_scalar) const {
  const std::size_t all = std::accumulate(rows.begin(), rows.end(), std::size_t{0});
  const std::size_t elsewhere = all - rows[static_cast<std::size_t>(group_.rank())];
  return static_cast<std::int64_t>(elsewhere * sizeof(float)) * (hidden_ + (with_scalar ? 1 : 0));
}

void OneCopyExchange::release(int slot) {
  Slot& used = slot_at(slot);
  if (!used.held) return;
  used.held = false;
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (mapped(peer)) signals_.raise(peer, channel(slot, kReleased), used.arrived.count);
  }
}

void OneCopyExchange::begin_dispatch(const DispatchPlan& plan, const Tensor& x, const Tensor& weights,
                                     const Tensor* scalar, int slot, const Phase& phase) {
  Slot& used = slot_at(slot);
  Results& results = results_at(slot);
  release(slot);
  used.phase = phase;
  used.weights = weights;
  used.with_scalar = scalar != nullptr;
  const std::int64_t rows = std::ranges::max(plan.rows_at.span<std::int32_t>());
  grow(used.arrived, rows);
  grow(results.block, rows);
  wait_for(plan.send_rows, channel(slot, kReleased), used.arrived.count, phase);
  ++used.arrived.count;
  used.number = ++results.block.count;
  used.held = true;
  const ExpertRows places = rows_in(used.arrived, plan, group_.rank(), used.with_scalar);
  used.mail.begin_dispatch(group_, plan, x, scalar, places, phase);
  write_rows(plan, x, scalar, slot);
  bytes_sent_ += bytes_elsewhere(plan.send_rows, used.with_scalar);
}

void OneCopyExchange::write_rows(const DispatchPlan& plan, const Tensor& x, const Tensor* scalar, int slot) {
  const Slot& used = slot_at(slot);
  const auto *token = plan.send_token.data<std::int32_t>(), *choice = plan.send_choice.data<std::int32_t>();
  const auto* landing = plan.landing.data<std::int32_t>();
  std::int64_t row = 0;
  for (int peer = 0; peer < group_.size(); ++peer) {
    const std::int64_t end = row + static_cast<std::int64_t>(plan.send_rows[static_cast<std::size_t>(peer)]);
    if (!mapped(peer) || row == end) {
      row = end;
      continue;
    }
    const ExpertRows places = rows_in(used.arrived, plan, peer, used.with_scalar);
    for (; row < end; ++row) {
      std::copy_n(x.data<float>() + token[row] * hidden_, hidden_, places.rows.data<float>() + landing[row] * hidden_);
      if (scalar != nullptr) places.scalar.data<float>()[landing[row]] = scalar->data<float>()[choice[row]];
    }
    signals_.raise(peer, channel(slot, kArrived), used.arrived.count);
  }
}

ExpertRows OneCopyExchange::finish_dispatch(const DispatchPlan& plan, int slot, Arena& /*arena*/) {
  Slot& used = slot_at(slot);
  wait_for(plan.receive_rows, channel(slot, kArrived), used.arrived.count, used.phase);
  used.mail.finish(group_, used.phase);
  const ExpertRows arrived = rows_in(used.arrived, plan, group_.rank(), used.with_scalar);
  if (plan.expert_rows() > plan.rows_received()) clear_padding(plan, arrived);
  return arrived;
}

ExpertRows OneCopyExchange::result_rows(const DispatchPlan& plan, int slot, Arena& /*arena*/) {
  const Slot& used = slot_at(slot);
  const Results& results = results_at(slot);
  awaited_.clear();
  for (int peer = 0; peer < group_.size(); ++peer) {
    const std::uint64_t told = results.told[static_cast<std::size_t>(peer)];
    if (told > 0) awaited_.push_back({peer, channel(slot, kTaken), told});
  }
  if (!awaited_.empty()) wait(group_, signals_, awaited_, 0, used.phase);
  return rows_in(results.block, plan, group_.rank(), used.with_scalar);
}

void OneCopyExchange::begin_combine(const DispatchPlan& plan, int slot, const Phase& phase) {
  Slot& used = slot_at(slot);
  Results& results = results_at(slot);
  used.phase = phase;
  for (int peer = 0; peer < group_.size(); ++peer) {
    const bool has_rows = plan.receive_rows[static_cast<std::size_t>(peer)] > 0;
    if (has_rows && mapped(peer)) results.told[static_cast<std::size_t>(peer)] = used.number;
  }
  tell(plan.receive_rows, channel(slot, kReturned), used.number);
  used.mail.begin_combine(group_, plan, rows_in(results.block, plan, group_.rank(), used.with_scalar), phase);
  bytes_sent_ += bytes_elsewhere(plan.receive_rows, used.with_scalar);
}

void OneCopyExchange::finish_combine(const DispatchPlan& plan, int slot, const Tensor& sum, const Tensor* scalar,
                                     const TokensSummed& then) {
  Slot& used = slot_at(slot);
  wait_for(plan.send_rows, channel(slot, kReturned), used.number, used.phase);
  used.mail.finish(group_, used.phase);
  find_results(plan, slot);
  for_each_token_block(sum, [&](std::int64_t first, std::int64_t count) {
    combine_rows(rows_, plan.offsets.rows(first, count + 1), used.weights, sum.rows(first, count));
    if (then) then(first, count);
  });
  for (std::size_t j = 0; scalar != nullptr && j < scalars_.size(); ++j) {
    scalar->data<float>()[j] = scalars_[j] == nullptr ? 0.0F : *scalars_[j];
  }
  tell(plan.send_rows, channel(slot, kTaken), used.number);
}

void OneCopyExchange::find_results(const DispatchPlan& plan, int slot) {
  const Slot& used = slot_at(slot);
  const auto choices = static_cast<std::size_t>(plan.place.elements());
  rows_.assign(choices, nullptr);
  scalars_.assign(choices, nullptr);
  const auto *choice = plan.send_choice.data<std::int32_t>(), *landing = plan.landing.data<std::int32_t>();
  std::int64_t sent = 0;
  for (int peer = 0; peer < group_.size(); ++peer) {
    const std::int64_t end = sent + static_cast<std::int64_t>(plan.send_rows[static_cast<std::size_t>(peer)]);
    const bool direct = mapped(peer);
    const ExpertRows results = direct ? rows_in(results_at(slot).block, plan, peer, used.with_scalar) : ExpertRows{};
    for (; sent < end; ++sent) {
      const auto j = static_cast<std::size_t>(choice[sent]);
      rows_[j] = direct ? results.rows.data<float>() + landing[sent] * hidden_ : used.mail.row(sent);
      if (used.with_scalar)
        scalars_[j] = direct ? results.scalar.data<float>() + landing[sent] : used.mail.scalar(sent);
    }
  }
}

}  // namespace coe
