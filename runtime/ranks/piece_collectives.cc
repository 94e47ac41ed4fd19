#include "runtime/ranks/piece_collectives.h"

#include <chrono>

#include "comm/collectives.h"
#include "comm/device_messages.h"
#include "kernels/memory/copy.h"

namespace coe {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

PieceCollectives::~PieceCollectives() {
  for (auto gather = gathers_.begin(); gathering_ > 0; ++gather, --gathering_) gather->give_up();
}

void PieceCollectives::begin_sum(const Tensor& values, bool gathers, const Phase& phase) {
  if (group_.size() == 1) return;
  if (values.on_host()) {
    if (!sums_) make_sums();
    begun_.push_back({values, gathers, phase});
    return sums_->begin(values.span<float>(), phase);
  }
  if (group_.messages == nullptr) {
    StreamReduction& reduction = mapped();
    hold(*side_, *stream_);
    reduction.reduce_scatter_sum(values, phase);
    if (gathers) reduction.all_gather(own_piece(values), values, phase);
    return;
  }
  if (group_.messages->waits_for_streams()) return begun_.push_back({values, gathers, phase});
  tickets_.push_back(group_.messages->reduce_scatter_sum(values, *stream_, phase));
  if (gathers) tickets_.push_back(group_.messages->all_gather(own_piece(values), values, *stream_, phase));
}

void PieceCollectives::advance() {
  if (sums_) sums_->advance();
}

void PieceCollectives::finish() {
  while (sums_ && !sums_->done()) sums_->advance();
  for (auto gather = gathers_.begin(); gathering_ > 0; ++gather, --gathering_) gather->done().get();
  if (side_) hold(*stream_, *side_);
  for (const Ticket ticket : std::exchange(tickets_, {})) group_.messages->follow(ticket, *stream_);
  for (const auto& [values, gathers, phase] : std::exchange(begun_, {})) {
    group_.messages->follow(group_.messages->reduce_scatter_sum(values, *stream_, phase), *stream_);
    if (gathers) all_gather(own_piece(values), values, phase);
  }
}

void PieceCollectives::all_gather(const Tensor& mine, const Tensor& all, const Phase& phase) {
  if (group_.size() == 1) return;
  if (all.on_host()) return coe::all_gather<float>(group_, mine.span<float>(), all.span<float>(), phase);
  if (group_.messages != nullptr) {
    return group_.messages->follow(group_.messages->all_gather(mine, all, *stream_, phase), *stream_);
  }
  StreamReduction& reduction = mapped();
  hold(*side_, *stream_);
  reduction.all_gather(mine, all, phase);
  hold(*stream_, *side_);
}

Tensor PieceCollectives::own_piece(const Tensor& values) const {
  const std::int64_t each = values.elements() / group_.size();
  return values.rows(group_.rank() * each, each);
}

void PieceCollectives::make_sums() {
  sums_.emplace(group_, numbers_, [this](double posted) {
    if (summed) summed(posted, now());
    const auto [values, gathers, phase] = begun_.front();
    begun_.pop_front();
    if (!gathers) return;
    if (gathering_ == gathers_.size()) gathers_.emplace_back();
    const Tensor mine = own_piece(values);
    std::next(gathers_.begin(), static_cast<std::ptrdiff_t>(gathering_++))
        ->all_gather(group_, std::as_bytes(mine.span<float>()), std::as_writable_bytes(values.span<float>()), phase);
  });
}

StreamReduction& PieceCollectives::mapped() {
  if (mapped_) return *mapped_;
  side_.emplace(stream_->device());
  reached_.emplace(stream_->device());
  return mapped_.emplace(group_, numbers_, *side_);
}

void PieceCollectives::hold(const Stream& waiting, const Stream& other) const {
  reached_->record(other);
  reached_->hold(waiting);
}

}  // namespace coe
