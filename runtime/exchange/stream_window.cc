#include "runtime/exchange/stream_window.h"

#include "kernels/memory/copy.h"

namespace coe {
namespace {

constexpr std::size_t kAlignment = 256;  // of what a device reads fastest

std::size_t row_bytes(std::int64_t rows, std::int64_t hidden, DType dtype) {
  const std::size_t bytes = static_cast<std::size_t>(rows * hidden) * size_of(dtype);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

StreamWindow::StreamWindow(const Group& group, std::int64_t rows, std::int64_t hidden, DType dtype,
                           const Stream& stream)
    : address_memory_(static_cast<std::size_t>(2 * group.size()) * sizeof(std::int64_t), stream.device()) {
  const std::size_t scalars = row_bytes(rows, hidden, dtype);
  const std::size_t bytes = scalars + static_cast<std::size_t>(rows) * sizeof(float);
  window_ = group.transport->make_window(bytes, stream.device());
  const Device device = stream.device();
  std::byte* const mine = window_->of(group.rank());
  rows_ = {mine, dtype, {rows, hidden}, device};
  scalar_ = {mine + scalars, DType::kF32, {rows}, device};
  for (const std::size_t offset : {std::size_t{0}, scalars}) {
    for (int rank = 0; rank < group.size(); ++rank) {
      addresses_.push_back(reinterpret_cast<std::int64_t>(window_->of(rank) + offset));
    }
  }
  const Tensor all(address_memory_.data(), DType::kI64, {2 * group.size()}, device);
  row_blocks_ = all.rows(0, group.size());
  scalar_blocks_ = all.rows(group.size(), group.size());
  copy(Tensor(addresses_.data(), DType::kI64, all.shape()), all, stream);
}

}  // namespace coe
