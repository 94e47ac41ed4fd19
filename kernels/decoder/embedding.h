#pragma once

#include "kernels/memory/tensor.h"

namespace coe {

/// x[t] = table[ids[t]]; ids [T] int32, table [V, D], x [T, D]. Throws kBadInput for an id outside [0, V).
void embedding(const Tensor& ids, const Tensor& table, const Tensor& x);

/// dtable[ids[t]] += dx[t], in ascending t.
void embedding_backward(const Tensor& ids, const Tensor& dx, const Tensor& dtable);

}  // namespace coe
