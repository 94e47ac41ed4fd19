#include "kernels/memory/pinned_buffer.h"

#include "kernels/memory/device_calls.h"

namespace coe {

PinnedBuffer::PinnedBuffer(std::size_t bytes, Device device)
    : data_(cuda::allocate_pinned(bytes, device.index)), bytes_(bytes) {}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) cuda::release_pinned(data_);
}

}  // namespace coe
