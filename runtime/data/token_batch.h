#pragma once

#include <cstdint>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"
#include "runtime/data/token_source.h"
#include "runtime/ranks/batch.h"

namespace coe {

/// One rank's inputs and labels of a micro-batch, int32 [T] each; views the arena.
struct TokenBatch {
  Tensor ids, labels;
};

/// This rank's sequences of the micro-batch that begins at sequence `first` of the source.
TokenBatch read_token_batch(const TokenSource& source, std::int64_t first, const Batch& batch, Arena& arena);

}  // namespace coe
