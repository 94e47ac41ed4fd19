#include "runtime/ranks/stream_reduction.h"

#include <algorithm>

#include "kernels/memory/copy.h"
#include "kernels/memory/sum_parts.h"
#include "runtime/ranks/share.h"

namespace coe {

StreamReduction::StreamReduction(const Group& group, std::int64_t numbers, const Stream& stream)
    : group_(group),
      stream_(&stream),
      meeting_(group, stream.device()),
      window_(group.transport->make_window(static_cast<std::size_t>(numbers) * sizeof(float), stream.device())),
      address_memory_(static_cast<std::size_t>(group.size()) * sizeof(std::int64_t), stream.device()),
      parts_(address_memory_.data(), DType::kI64, {group.size()}, stream.device()) {
  for (int rank = 0; rank < group.size(); ++rank) {
    addresses_.push_back(reinterpret_cast<std::int64_t>(window_->of(rank)));
  }
  copy(Tensor(addresses_.data(), DType::kI64, parts_.shape()), parts_, stream);
}

void StreamReduction::add_up(const Tensor& values, const Phase& phase) {
  const std::int64_t count = values.elements(), room = static_cast<std::int64_t>(window_->bytes() / sizeof(float));
  for (std::int64_t first = 0; first < count; first += room) {
    add_up_piece(values.rows(first, std::min(room, count - first)), phase);
  }
}

// Others write to this rank's part between the two meetings alone, each its own share, which nobody else reads then.
void StreamReduction::add_up_piece(const Tensor& piece, const Phase& phase) {
  const Tensor mine(window_->of(group_.rank()), DType::kF32, piece.shape(), stream_->device());
  const auto meet = [&] {
    meeting_.arrive(*stream_);
    meeting_.follow(*stream_, phase);
  };
  copy(piece, mine, *stream_);
  meet();
  const Share share = share_of(piece.elements(), group_.size(), group_.rank());
  cuda::sum_parts(parts_, share.first, share.count, *stream_);
  meet();
  copy(mine, piece, *stream_);
}

}  // namespace coe
