#pragma once

#include <cstddef>
#include <vector>

#include "comm/group.h"
#include "comm/stream_meeting.h"
#include "kernels/memory/copy.h"

namespace coe {

/// The numbers of a tensor on any device, once all that the stream was given is done. Throws what wait() throws.
template <class T>
std::vector<T> read_back(const Tensor& there, const Group& group, const Stream& stream, const Phase& phase) {
  std::vector<T> numbers(static_cast<std::size_t>(there.elements()));
  copy(there, Tensor(numbers.data(), there.dtype(), there.shape()), stream);
  wait(group, stream, phase);
  return numbers;
}

}  // namespace coe
