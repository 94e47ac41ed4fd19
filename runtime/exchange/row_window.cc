#include "runtime/exchange/row_window.h"

#include <algorithm>

namespace coe {
namespace {

constexpr std::int64_t kFewestRows = 64;
/// Uses after which a window that was never a quarter full shrinks to twice what it held.
constexpr int kLookEvery = 256;
constexpr std::size_t kAlignment = 64;

std::size_t signal_bytes(int ranks) {
  const std::size_t bytes = Signals::bytes_for(ranks, RowWindow::kChannels);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void RowWindow::fit(std::int64_t rows) {
  peak_ = std::max(peak_, rows);
  if (window_ == nullptr) {
    least_ = std::max(kFewestRows, rows);
    return make(least_);
  }
  if (rows > room_) {
    ++growths_;
    return make(std::max(rows, 2 * room_));
  }
  if (++uses_ < kLookEvery) return;
  if (room_ > least_ && 4 * peak_ < room_) make(std::max(least_, 2 * peak_));
  peak_ = uses_ = 0;
}

void RowWindow::make(std::int64_t rows) {
  room_ = rows;
  uses_ = 0;
  number_ = 0;
  const std::size_t bytes = static_cast<std::size_t>(room_ * (hidden_ + 1)) * sizeof(float);
  window_ = group_.transport->make_window(signal_bytes(group_.size()) + bytes);
  signals_ = std::make_unique<Signals>(*window_, 0, group_.rank(), kChannels);
}

ExpertRows RowWindow::rows_of(int rank, const DispatchPlan& plan, bool with_scalar) const {
  const std::int64_t rows = plan.rows_at.data<std::int32_t>()[rank];
  std::byte* memory = window_->of(rank) + signal_bytes(group_.size());
  return {
      Tensor(memory, DType::kF32, {rows, hidden_}),
      Tensor(memory + static_cast<std::size_t>(room_ * hidden_) * sizeof(float), DType::kF32, {with_scalar ? rows : 0}),
      plan.expert_offsets};
}

}  // namespace coe
