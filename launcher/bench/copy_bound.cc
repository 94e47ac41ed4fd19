#include "launcher/bench/copy_bound.h"

#include <algorithm>
#include <cstring>

#include "comm/collectives.h"

namespace coe {

bool CopyBound::reaches_all(Group group) {
  const std::unique_ptr<Window> window = group.transport->make_window(1);
  std::int32_t unreached = 0;
  for (int peer = 0; peer < group.size(); ++peer) unreached += window->of(peer) == nullptr ? 1 : 0;
  all_reduce_sum<std::int32_t>(group, {&unreached, 1}, {"looking for a common machine"});
  return unreached == 0;
}

CopyBound::CopyBound(Group group, const DispatchPlan& plan, std::int64_t hidden)
    : group_(group), plan_(plan), hidden_(hidden) {
  const auto row_bytes = static_cast<std::size_t>(hidden) * sizeof(float);
  const auto rows = static_cast<std::size_t>(std::max(1, std::ranges::max(plan.rows_at.span<std::int32_t>())));
  landed_ = group.transport->make_window(rows * row_bytes);
  results_ = group.transport->make_window(rows * row_bytes);
  for (int peer = 0; peer < group.size(); ++peer) {
    check(landed_->of(peer) != nullptr, "copy bound: rank ", peer,
          " is on another machine, must be on this one for its memory to be copied to");
  }
  home_ = Buffer(2 * static_cast<std::size_t>(plan.rows_sent()) * row_bytes);
  for (const Tensor& memory : {landed(), results(), packed(), returned()}) {
    std::ranges::fill(memory.span<float>(), 1.0F);
  }
  barrier(group_, {"filling the windows"});  // before anybody copies into them
}

Tensor CopyBound::landed() const {
  return Tensor(landed_->of(group_.rank()), DType::kF32, {plan_.expert_rows(), hidden_});
}

Tensor CopyBound::results() const {
  return Tensor(results_->of(group_.rank()), DType::kF32, {plan_.expert_rows(), hidden_});
}

Tensor CopyBound::home_rows(HomeRows which) const {
  const Tensor both(home_.data(), DType::kF32, {2 * plan_.rows_sent(), hidden_});
  return both.rows(which == kPacked ? 0 : plan_.rows_sent(), plan_.rows_sent());
}

template <class Copy>
void CopyBound::for_each_row(const Window& window, const Copy& copy) const {
  const auto* landing = plan_.landing.data<std::int32_t>();
  std::int64_t row = 0;
  for (int peer = 0; peer < group_.size(); ++peer) {
    auto* there = reinterpret_cast<float*>(window.of(peer));
    const std::int64_t end = row + static_cast<std::int64_t>(plan_.send_rows[static_cast<std::size_t>(peer)]);
    for (; row < end; ++row) copy(row, there + landing[row] * hidden_);
  }
}

void CopyBound::copy_out_of_tokens(const Tensor& x) const {
  const auto* token = plan_.send_token.data<std::int32_t>();
  for_each_row(*landed_, [&](std::int64_t row, float* there) {
    std::memcpy(there, x.data<float>() + token[row] * hidden_, static_cast<std::size_t>(hidden_) * sizeof(float));
  });
}

void CopyBound::copy_out_packed() const {
  const auto* from = packed().data<float>();
  for_each_row(*landed_, [&](std::int64_t row, float* there) {
    std::memcpy(there, from + row * hidden_, static_cast<std::size_t>(hidden_) * sizeof(float));
  });
}

void CopyBound::copy_back_to_choices() const {
  auto* to = returned().data<float>();
  const auto* choice = plan_.send_choice.data<std::int32_t>();
  for_each_row(*results_, [&](std::int64_t row, const float* there) {
    std::memcpy(to + choice[row] * hidden_, there, static_cast<std::size_t>(hidden_) * sizeof(float));
  });
}

void CopyBound::copy_back_packed() const {
  auto* to = returned().data<float>();
  for_each_row(*results_, [&](std::int64_t row, const float* there) {
    std::memcpy(to + row * hidden_, there, static_cast<std::size_t>(hidden_) * sizeof(float));
  });
}

}  // namespace coe
