#include "runtime/ranks/piece_collectives.h"

#include "comm/collectives.h"
#include "comm/device_messages.h"
#include "kernels/memory/copy.h"

namespace coe {

void PieceCollectives::reduce_scatter_sum(const Tensor& values, const Phase& phase) {
  if (group_.size() == 1) return;
  if (values.on_host()) return coe::reduce_scatter_sum<float>(group_, values.span<float>(), phase);
  if (group_.messages == nullptr) return mapped().reduce_scatter_sum(values, phase);
  group_.messages->follow(group_.messages->reduce_scatter_sum(values, *stream_, phase), *stream_);
}

void PieceCollectives::all_gather(const Tensor& mine, const Tensor& all, const Phase& phase) {
  if (group_.size() == 1) return;
  if (all.on_host()) return coe::all_gather<float>(group_, mine.span<float>(), all.span<float>(), phase);
  if (group_.messages == nullptr) return mapped().all_gather(mine, all, phase);
  group_.messages->follow(group_.messages->all_gather(mine, all, *stream_, phase), *stream_);
}

StreamReduction& PieceCollectives::mapped() {
  if (!mapped_) mapped_.emplace(group_, numbers_, *stream_);
  return *mapped_;
}

}  // namespace coe
