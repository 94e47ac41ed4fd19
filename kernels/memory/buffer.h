#pragma once

#include <cstddef>

#include "kernels/memory/device.h"

namespace coe {

/// Owns a block of memory on a device, aligned to 64 bytes; movable, not copyable.
class Buffer {
 public:
  Buffer() = default;
  /// Allocates `bytes` of uninitialised memory; throws kSystem where there is not enough.
  explicit Buffer(std::size_t bytes, Device device = kCpu);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_;
};

}  // namespace coe
