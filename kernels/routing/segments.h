#pragma once

#include <cstdint>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "kernels/routing/buckets.h"

namespace coe::cuda {

/// Rows that messages bring stand by (source, bucket, token); a holder works on them by (bucket, source, token). A
/// segment is the rows of one bucket from one source, which stay together. int32, device memory.

/// segments [buckets that `holder` holds, in its order, S, 3] = (where it begins among what arrived, where by bucket,
/// how many rows). From table [S, N], the rows of all sources, which are the holders too, and row_offsets [held + 1],
/// which place_buckets() made. What arrived of one source begins where that of the source before ends, or at a multiple
/// of `block` rows where that is not 0.
void place_segments(const Tensor& table, const Holders& holders, int holder, std::int64_t block,
                    const Tensor& row_offsets, const Tensor& segments, const Stream& stream);

/// sizes [S, 2] = (rows that `source` sends to each rank, rows that it gets from it), where ranks are the sources and
/// the holders.
void size_messages(const Tensor& table, const Holders& holders, int source, const Tensor& sizes, const Stream& stream);

/// Rows [n, D], fp32 or bf16, with one float [n] beside each unless that is empty.
struct SegmentRows {
  Tensor rows, scalar;
};
/// Every segment of what arrived goes to its place by bucket; other rows there stay as they are.
void gather_segments(const Tensor& segments, const SegmentRows& arrived, const SegmentRows& by_bucket,
                     const Stream& stream);
/// And back.
void scatter_segments(const Tensor& segments, const SegmentRows& by_bucket, const SegmentRows& arrived,
                      const Stream& stream);

}  // namespace coe::cuda
