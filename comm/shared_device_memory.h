#pragma once

#include <cstddef>
#include <utility>

#include "comm/descriptor.h"
#include "kernels/memory/device.h"

namespace coe {

/// Memory of a CUDA device that processes of one machine share, mapped here until this goes: as SharedMemory is of the
/// host. It goes with the last process that has it, in whatever order they give it up. Movable, not copyable.
class SharedDeviceMemory {
 public:
  /// New memory, zeroed and all there. Throws kSystem where the device has too little.
  static SharedDeviceMemory create(std::size_t bytes, Device device);
  /// What another process has made, of as many bytes, for this one's device. Throws kSystem where it cannot be mapped.
  static SharedDeviceMemory map(Descriptor file, std::size_t bytes, Device device);
  ~SharedDeviceMemory();
  SharedDeviceMemory(SharedDeviceMemory&& other) noexcept;
  SharedDeviceMemory& operator=(SharedDeviceMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// What can be handed over, until close_file().
  const Descriptor& file() const { return file_; }
  void close_file() { file_ = Descriptor(); }

 private:
  SharedDeviceMemory(Descriptor file, std::byte* data, std::size_t bytes, Device device)
      : file_(std::move(file)), data_(data), bytes_(bytes), device_(device) {}

  Descriptor file_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_;
};

}  // namespace coe
