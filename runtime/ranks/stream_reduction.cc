#include "runtime/ranks/stream_reduction.h"

#include "kernels/memory/copy.h"
#include "kernels/memory/error.h"
#include "kernels/memory/sum_parts.h"

namespace coe {

StreamReduction::StreamReduction(const Group& group, std::int64_t numbers, const Stream& stream)
    : group_(group),
      stream_(&stream),
      meeting_(group, stream.device()),
      half_bytes_(static_cast<std::size_t>(numbers) * sizeof(float)),
      window_(group.transport->make_window(kHalves * half_bytes_, stream.device())),
      address_memory_(kHalves * static_cast<std::size_t>(group.size()) * sizeof(std::int64_t), stream.device()) {
  const std::int64_t ranks = group.size();
  const Tensor all(address_memory_.data(), DType::kI64, {std::int64_t{kHalves}, ranks}, stream.device());
  for (std::size_t half = 0; half < kHalves; ++half) {
    parts_[half] = all[static_cast<std::int64_t>(half)];
    for (int rank = 0; rank < ranks; ++rank) {
      addresses_.push_back(reinterpret_cast<std::int64_t>(part_of(rank, half)));
    }
  }
  copy(Tensor(addresses_.data(), DType::kI64, all.shape()), all, stream);
}

// A rank reads others' halves before it arrives at the next meeting, and writes its own anew after that one.
std::size_t StreamReduction::show(const Tensor& values, const Phase& phase) {
  if (values.bytes() > half_bytes_) {
    fail(ErrorCode::kInternal, "reduction: ", values.bytes(), " bytes at once, at most ", half_bytes_);
  }
  const std::size_t half = shown_++ % kHalves;
  copy(values, Tensor(part_of(group_.rank(), half), DType::kF32, values.shape(), stream_->device()), *stream_);
  meeting_.arrive(*stream_);
  meeting_.follow(*stream_, phase);
  return half;
}

void StreamReduction::reduce_scatter_sum(const Tensor& values, const Phase& phase) {
  const std::int64_t each = values.elements() / group_.size(), first = group_.rank() * each;
  const std::size_t half = show(values, phase);
  if (each > 0) cuda::sum_parts(parts_[half], first, values.rows(first, each), *stream_);
}

void StreamReduction::all_gather(const Tensor& mine, const Tensor& all, const Phase& phase) {
  const std::int64_t each = mine.elements();
  const std::size_t half = show(mine, phase);
  for (int rank = 0; rank < group_.size(); ++rank) {
    const Tensor to = all.rows(rank * each, each);
    if (to.raw() == mine.raw()) continue;
    copy(Tensor(part_of(rank, half), DType::kF32, to.shape(), stream_->device()), to, *stream_);
  }
}

}  // namespace coe
