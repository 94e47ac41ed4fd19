#pragma once

#include "comm/stream_meeting.h"
#include "kernels/random.h"
#include "kernels/tensor.h"

namespace coe {

/// Overwrites x, fp32 or bf16 in the stream's memory, with normal numbers about 0, drawn by the host; waits until they
/// are there, with the group's patience.
void fill_normal_there(const Tensor& x, RandomKey key, float deviation, const Group& group, const Stream& stream);

}  // namespace coe
