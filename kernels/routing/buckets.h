#pragma once

#include <cstdint>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "kernels/routing/rows.h"

namespace coe::cuda {

/// The device plan: a stable counting sort of choices by bucket (an expert), whose rows stand by (bucket, source,
/// token), where a source is a rank. Everything is int32 in device memory and no size comes back to the host.
///
///   count_buckets -> scan_buckets -> the sources exchange their totals -> place_buckets -> scatter_buckets

/// Tokens per block that make the plan fast; counts has ceil(T / kTokensPerBlock) blocks.
inline constexpr std::int64_t kTokensPerBlock = 64;

/// counts [blocks, N]: how many choices of each of `blocks` runs of ceil(T / blocks) tokens are in each bucket. offsets
/// [T + 1], bucket [choices]; kept uint8 [choices] leaves out choices that are 0, or is empty.
void count_buckets(const Tensor& offsets, const Tensor& bucket, const Tensor& kept, const Tensor& counts,
                   const Stream& stream);
/// counts [blocks, N] becomes the sums over the blocks before; totals [N] over all.
void scan_buckets(const Tensor& counts, const Tensor& totals, const Stream& stream);
/// totals [N] = sum over the sources of table [S, N].
void sum_sources(const Tensor& table, const Tensor& totals, const Stream& stream);

/// Who holds which bucket, in which order.
struct Holders {
  Tensor first;   ///< [holders + 1]: h holds bucket[first[h]] to bucket[first[h + 1] - 1]
  Tensor bucket;  ///< [N] by (holder, its order)
  Tensor holder;  ///< [N] of each bucket
};

/// Where one source's rows stand.
struct BucketPlaces {
  Tensor begin;  ///< [N] among the rows of the bucket's holder
  // Both may be empty, where only the places of what is sent matter.
  Tensor row_offsets;  ///< [buckets held by the source + 1] where the rows of each bucket that it holds begin, in its
                       ///< order
  Tensor row_ends;     ///< [buckets held by the source] where those that are somebody's end
};
/// How many rows every holder has room for.
struct HolderRoom {
  std::int64_t rows = 0;  ///< 0: for all
  // Where a holder would get more, nobody gets a row, lost int32 [1] becomes kNoRoom and overflow int32 [1] becomes 1.
  Tensor lost = {}, overflow = {};
};
/// Below every token: as in route_topk(), what is combined becomes NaN.
inline constexpr std::int32_t kNoRoom = -1;

/// From table [S, N], the totals of all sources. Holders are the sources, unless only what is sent matters. Where
/// `padded` is not 0, every bucket has so many rows, of which the last may be nobody's.
void place_buckets(const Tensor& table, const Holders& holders, int source, std::int64_t padded,
                   const BucketPlaces& places, const Stream& stream, const HolderRoom& room = {});
/// The place of every choice; those that were not counted, or found no room, get -1. `counts` as scan_buckets() left
/// it, offsets, bucket and kept as for count_buckets().
void scatter_buckets(const Tensor& bucket, const Tensor& kept, const Tensor& counts, const Holders& holders,
                     const BucketPlaces& places, const RowPlaces& rows, const Stream& stream);

}  // namespace coe::cuda
