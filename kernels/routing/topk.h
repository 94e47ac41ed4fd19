#pragma once

#include "kernels/memory/tensor.h"

namespace coe {

/// The k largest of each row of scores [T, N], as indices [T, k] int32 in ascending index order; on a tie the lower
/// index. Throws kBadInput unless 1 <= k <= N, and where a score is not finite.
void topk(const Tensor& scores, const Tensor& indices);

}  // namespace coe
