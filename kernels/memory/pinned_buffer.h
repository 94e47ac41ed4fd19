#pragma once

#include <cstddef>
#include <utility>

#include "kernels/memory/device.h"

namespace coe {

/// Owns memory of the host that a CUDA device reads and writes by itself, in copies that its streams do in their order;
/// movable, not copyable.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  /// Uninitialised; throws kSystem where there is not enough.
  PinnedBuffer(std::size_t bytes, Device device);
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept { *this = std::move(other); }
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace coe
