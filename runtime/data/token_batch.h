#pragma once

#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"
#include "runtime/data/token_source.h"
#include "runtime/ranks/batch.h"

namespace coe {

/// One rank's inputs and labels of a micro-batch, int32 [T] each; views the arena.
struct TokenBatch {
  Tensor ids, labels;                       ///< a label of -1 does not count
  std::int64_t counted = 0;                 ///< labels that do
  std::span<const std::int32_t> documents;  ///< as Batch has them; none where the source marks nothing
};

/// This rank's sequences of the micro-batch that begins at sequence `first` of the source.
TokenBatch read_token_batch(const TokenSource& source, std::int64_t first, const Batch& batch, Arena& arena);

}  // namespace coe
