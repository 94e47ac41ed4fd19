#pragma once

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// sums int64 [n] += counts int32 [n].
void tally(const Tensor& counts, const Tensor& sums, const Stream& stream);

namespace cuda {

void tally(const Tensor& counts, const Tensor& sums, const Stream& stream);
/// sum int64 [1] += how many choices j, of those before the last of offsets int32 [T + 1], have a place (holder[j] is
/// not -1) though no router chose them (chosen[j], uint8, is 0).
void tally_rerouted(const Tensor& offsets, const Tensor& chosen, const Tensor& holder, const Tensor& sum,
                    const Stream& stream);

}  // namespace cuda
}  // namespace coe
