#include "comm/shared_device_memory.h"

#include "kernels/memory/device_calls.h"

namespace coe {

SharedDeviceMemory SharedDeviceMemory::create(std::size_t bytes, Device device) {
  int file = -1;
  std::byte* const data = cuda::allocate_shared(bytes, device.index, file);
  return {Descriptor(file), data, bytes, device};
}

SharedDeviceMemory SharedDeviceMemory::map(Descriptor file, std::size_t bytes, Device device) {
  std::byte* const data = cuda::map_shared(file.get(), bytes, device.index);
  return {std::move(file), data, bytes, device};
}

SharedDeviceMemory::~SharedDeviceMemory() {
  if (data_ != nullptr) cuda::unmap_shared(data_, bytes_, device_.index);
}

SharedDeviceMemory::SharedDeviceMemory(SharedDeviceMemory&& other) noexcept
    : file_(std::move(other.file_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(other.bytes_),
      device_(other.device_) {}

SharedDeviceMemory& SharedDeviceMemory::operator=(SharedDeviceMemory&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  return *this;
}

}  // namespace coe
