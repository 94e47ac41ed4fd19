#pragma once

#include "comm/stream_meeting.h"
#include "kernels/memory/random.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Overwrites x, fp32 or bf16 in the stream's memory, with normal numbers about 0, drawn by the host: so many of them,
/// which then repeat, since a host takes seconds to draw what a device multiplies in milliseconds. Waits until they are
/// there, with the group's patience.
inline constexpr std::int64_t kMostDrawn = std::int64_t{1} << 24;
void fill_normal_there(const Tensor& x, RandomKey key, float deviation, const Group& group, const Stream& stream);

}  // namespace coe
