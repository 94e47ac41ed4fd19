#include "kernels/memory/buffer.h"

#include <cstdlib>
#include <utility>

#include "kernels/memory/device_calls.h"
#include "kernels/memory/error.h"

namespace coe {

Buffer::Buffer(std::size_t bytes, Device device) : bytes_(bytes), device_(device) {
  constexpr std::size_t kAlignment = 64;
  if (bytes == 0) return;
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (device_.kind == Device::Kind::kCuda) {
    data_ = cuda::allocate(rounded, device_.index);
    return;
  }
  if (rounded >= bytes) data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
  if (data_ == nullptr) fail(ErrorCode::kSystem, "buffer: no memory for ", bytes, " bytes");
}

Buffer::~Buffer() {
  if (device_.kind == Device::Kind::kCuda) {
    if (data_ != nullptr) cuda::release(data_, device_.index);
    return;
  }
  std::free(data_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), device_(other.device_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  return *this;
}

}  // namespace coe
