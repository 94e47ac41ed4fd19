#include "kernels/memory/arena.h"

#include <algorithm>
#include <cstring>

#include "kernels/memory/error.h"

namespace coe {

Arena::Arena(std::size_t bytes, Device device) : device_(device) {
  if (bytes > 0) blocks_.emplace_back(bytes, device);
}

Tensor Arena::make(DType dtype, Shape shape) {
  constexpr std::size_t kAlignment = 64, kSmallestBlock = std::size_t{1} << 20;
  const std::size_t wanted = static_cast<std::size_t>(shape.elements()) * size_of(dtype);
  const std::size_t rounded = (wanted + kAlignment - 1) / kAlignment * kAlignment;
  while (top_.block < blocks_.size() && top_.offset + rounded > blocks_[top_.block].bytes()) {
    top_ = {top_.block + 1, 0};
  }
  if (top_.block == blocks_.size()) {
    blocks_.emplace_back(std::max({rounded, kSmallestBlock, capacity() / 2}), device_);
    ++growths_;
  }
  Tensor tensor(blocks_[top_.block].data() + top_.offset, dtype, shape, device_);
  top_.offset += rounded;
  return tensor;
}

Tensor Arena::zeros(DType dtype, Shape shape) {
  if (device_ != kCpu) fail(ErrorCode::kInternal, "arena: zeros are made on the CPU, this memory is elsewhere");
  Tensor tensor = make(dtype, shape);
  if (tensor.bytes() > 0) std::memset(tensor.raw(), 0, tensor.bytes());
  return tensor;
}

void Arena::reset(Mark mark) { top_ = mark; }

void Arena::reset() {
  top_ = {};
  if (blocks_.size() < 2) return;
  const std::size_t total = capacity();
  blocks_.clear();
  blocks_.emplace_back(total, device_);
}

std::size_t Arena::capacity() const {
  std::size_t total = 0;
  for (const Buffer& block : blocks_) total += block.bytes();
  return total;
}

}  // namespace coe
