#pragma once

#include <cstdint>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// x[t] = table[ids[t]]; ids [T] int32, table [V, D], x [T, D]. Throws kBadInput for an id outside [0, V).
void embedding(const Tensor& ids, const Tensor& table, const Tensor& x);

/// dtable[ids[t]] += dx[t], in ascending t.
void embedding_backward(const Tensor& ids, const Tensor& dx, const Tensor& dtable);

/// The same on any device, scratch memory off the arena. On a device ids in range are the caller's promise; table and x
/// are both fp32 or both bf16, dx is fp32 or bf16, dtable fp32, and an id's sum has an order that depends on ids alone.
void embedding(const Tensor& ids, const Tensor& table, const Tensor& x, const Stream& stream);
void embedding_backward(const Tensor& ids, const Tensor& dx, const Tensor& dtable, Arena& arena, const Stream& stream);

namespace cuda {

/// The same on a CUDA stream; `workspace` uint8 [embedding_workspace_bytes(T, D)] is scratch memory, aligned to 16.
std::int64_t embedding_workspace_bytes(std::int64_t positions, std::int64_t width);
void embedding(const Tensor& ids, const Tensor& table, const Tensor& x, const Stream& stream);
void embedding_backward(const Tensor& ids, const Tensor& dx, const Tensor& dtable, const Tensor& workspace,
                        const Stream& stream);

}  // namespace cuda

}  // namespace coe
