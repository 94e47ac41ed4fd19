#include "runtime/exchange/row_mail.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "comm/wait.h"

namespace coe {
namespace {

/// Calls visit(first, count) for the rows that this rank sends to each expert of `peer`, by their place in the plan.
template <class Visit>
void for_each_sent(const DispatchPlan& plan, int peer, const Visit& visit) {
  const auto* offsets = plan.send_offsets.data<std::int32_t>();
  const auto* first = plan.first_place.data<std::int32_t>() + peer;
  for (std::int32_t e = first[0]; e < first[1]; ++e) {
    if (offsets[e + 1] > offsets[e]) visit(offsets[e], offsets[e + 1] - offsets[e]);
  }
}

/// The same for the rows that each of this rank's experts has of `peer`, by their place among its rows.
template <class Visit>
void for_each_received(const DispatchPlan& plan, int peer, const Visit& visit) {
  const std::int64_t experts = plan.segments.extent(0), ranks = plan.segments.extent(1);
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::int32_t* segment = plan.segments.data<std::int32_t>() + e * ranks * 2;
    std::int32_t place = plan.expert_offsets.data<std::int32_t>()[e];
    for (int source = 0; source < peer; ++source) place += segment[2 * source + 1];
    if (segment[2 * peer + 1] > 0) visit(place, segment[2 * peer + 1]);
  }
}

Piece piece_of(const Tensor& all, std::int64_t first, std::int64_t count) {
  const Tensor rows = all.rows(first, count);
  return {rows.raw(), rows.bytes()};
}

}  // namespace

RowMail::RowMail(std::int64_t hidden, std::vector<bool> by_message)
    : hidden_(hidden), by_message_(std::move(by_message)), any_(std::ranges::count(by_message_, true) > 0) {}

void RowMail::make_room(const DispatchPlan& plan) {
  std::int64_t sent = 0, skipped = 0;
  skipped_.assign(by_message_.size(), 0);
  for (std::size_t peer = 0; peer < by_message_.size(); ++peer) {
    skipped_[peer] = skipped;
    (by_message_[peer] ? sent : skipped) += static_cast<std::int64_t>(plan.send_rows[peer]);
  }
  const std::size_t wanted = static_cast<std::size_t>(sent * (hidden_ + 1)) * sizeof(float);
  if (memory_.bytes() < wanted) memory_ = Buffer(std::max(wanted, 2 * memory_.bytes()));
  rows_ = Tensor(memory_.data(), DType::kF32, {sent, hidden_});
  scalars_ = Tensor(memory_.data() + rows_.bytes(), DType::kF32, {sent});
}

void RowMail::lay_out(const Group& group, const DispatchPlan& plan, const ExpertRows& places) {
  make_room(plan);
  // Messages view the pieces, which must not move any more.
  const std::size_t most = 2 * static_cast<std::size_t>(plan.send_offsets.elements() + plan.segments.elements());
  pieces_.clear();
  pieces_.reserve(most);
  home_.clear();
  expert_.clear();
  // From the next rank on, so that not all send to the first at once.
  for (int step = 1; step < group.size(); ++step) {
    const int peer = (group.rank() + step) % group.size();
    if (!by_message_[static_cast<std::size_t>(peer)]) continue;
    add_home(plan, peer);
    add_expert(plan, peer, places);
  }
}

void RowMail::add_home(const DispatchPlan& plan, int peer) {
  const std::size_t begin = pieces_.size();
  const auto add = [&](const Tensor& all) {
    for_each_sent(plan, peer, [&](std::int64_t first, std::int64_t count) {
      pieces_.push_back(piece_of(all, place_of(peer, first), count));
    });
  };
  add(rows_);
  if (with_scalar_) add(scalars_);
  home_.push_back({peer, std::span(pieces_).subspan(begin)});
}

void RowMail::add_expert(const DispatchPlan& plan, int peer, const ExpertRows& places) {
  const std::size_t begin = pieces_.size();
  for_each_received(plan, peer,
                    [&](auto first, auto count) { pieces_.push_back(piece_of(places.rows, first, count)); });
  if (places.scalar.elements() > 0) {
    for_each_received(plan, peer,
                      [&](auto first, auto count) { pieces_.push_back(piece_of(places.scalar, first, count)); });
  }
  expert_.push_back({peer, std::span(pieces_).subspan(begin)});
}

void RowMail::gather(const DispatchPlan& plan, const Tensor& x, const Tensor* scalar) {
  const auto *token = plan.send_token.data<std::int32_t>(), *choice = plan.send_choice.data<std::int32_t>();
  const auto width = static_cast<std::size_t>(hidden_) * sizeof(float);
  for (int peer = 0; std::cmp_less(peer, by_message_.size()); ++peer) {
    if (!by_message_[static_cast<std::size_t>(peer)]) continue;
    for_each_sent(plan, peer, [&](std::int32_t first, std::int32_t count) {
      for (std::int32_t row = first; row < first + count; ++row) {
        const std::int64_t place = place_of(peer, row);
        std::memcpy(rows_.data<float>() + place * hidden_, x.data<float>() + token[row] * hidden_, width);
        if (scalar != nullptr) scalars_.data<float>()[place] = scalar->data<float>()[choice[row]];
      }
    });
  }
}

void RowMail::begin_dispatch(const Group& group, const DispatchPlan& plan, const Tensor& x, const Tensor* scalar,
                             const ExpertRows& places, const Phase& phase) {
  if (!any_) return;
  with_scalar_ = scalar != nullptr;
  lay_out(group, plan, places);
  gather(plan, x, scalar);
  ticket_ = post(group, home_, expert_, phase);
}

void RowMail::begin_combine(const Group& group, const DispatchPlan& plan, const ExpertRows& results,
                            const Phase& phase) {
  if (!any_) return;
  lay_out(group, plan, results);
  ticket_ = post(group, expert_, home_, phase);
}

void RowMail::finish(const Group& group, const Phase& phase) {
  if (any_) wait(group, ticket_, phase);
}

}  // namespace coe
