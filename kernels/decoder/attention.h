#pragma once

#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Causal attention of one sequence, softmax(q k^T / sqrt(d)) v, per head; q, k, v, out [S, heads * d]; p [heads, S, S]
/// keeps the probabilities for the backward (zero above the diagonal).
void attention(const Tensor& q, const Tensor& k, const Tensor& v, int heads, const Tensor& out, const Tensor& p);

/// dq, dk, dv [S, heads * d] (overwritten) from dout and the saved p. Scratch comes from the arena and is given back.
void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& p, int heads,
                        const Tensor& dout, const Tensor& dq, const Tensor& dk, const Tensor& dv, Arena& arena);

/// Rows that attend to one another, one document after the other; all rows belong to one.
struct DocumentRows {
  Tensor offsets;            ///< int32 [n + 1]: where each begins, then the end of the last; in the memory of the rows
  std::int64_t longest = 0;  ///< rows of the longest (at most so many)
};

/// Numbers that the forward saves for the backward, of documents of these lengths, `rows` in all. On the host
/// probabilities, of each document [heads, n, n], one behind the other; on a device [heads, rows], of each row the
/// logarithm to base 2 of its sum of exp.
std::int64_t attention_saved_elements(std::int64_t rows, int heads, std::span<const std::int32_t> lengths,
                                      Device device);

/// The same of every document, on any device: rows q, k, v, out [T, heads * d] of all of them, `saved` fp32 of any
/// shape of attention_saved_elements. On the host documents have the bits that each has alone.
void attention(const Tensor& q, const Tensor& k, const Tensor& v, const DocumentRows& documents, int heads,
               const Tensor& out, const Tensor& saved, const Stream& stream);
/// dq, dk, dv (overwritten) share no memory with the others. Scratch is taken off the arena and given back.
void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& saved,
                        const DocumentRows& documents, int heads, const Tensor& dout, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv, Arena& arena, const Stream& stream);

namespace cuda {

/// The same on a CUDA stream, in fp32 or bf16, sums in fp32, d at most 128 (else kBadInput); no probabilities are kept
/// ("FlashAttention-2", Dao, 2023, arXiv 2307.08691). bf16 takes tensor cores where d is a multiple of 8 and operands
/// are aligned to 16 bytes. A row's bits depend on its document alone. Blocks are as many as if every document were
/// the longest. `row_sums` fp32 [heads, T] is scratch memory.
void attention(const Tensor& q, const Tensor& k, const Tensor& v, const DocumentRows& documents, int heads,
               const Tensor& out, const Tensor& saved, const Stream& stream);
void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& saved,
                        const DocumentRows& documents, int heads, const Tensor& dout, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv, const Tensor& row_sums, const Stream& stream);

}  // namespace cuda
}  // namespace coe
