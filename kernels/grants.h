#pragma once

#include "kernels/buckets.h"
#include "kernels/stream.h"
#include "kernels/tensor.h"

namespace coe::cuda {

// Places in buckets that go to the largest scores, where place_buckets() gives them to the first; grant_places() is the
// truth on the CPU. Everything is in device memory. A source's list holds its choices by (bucket, token).

/// list[place[j]] = score[j] for the choices j below the last of offsets [T + 1]; place int32 [choices], score fp32
/// [choices], list fp32 [>= choices].
void list_scores(const Tensor& offsets, const Tensor& place, const Tensor& score, const Tensor& list,
                 const Stream& stream);

/// Which choices of all sources are granted: of each bucket the limit's capacity of them by score, larger first, then
/// by (source, token); of all sources together, or of each. Scores are not negative.
///
/// table int32 [S, N], how many each source has for each bucket; lists int64 [S], addresses of the sources' lists;
/// granted_table int32 [S, N] is overwritten, and granted uint8 [choices], in the order of this source's list.
void grant_by_score(const Tensor& table, const Tensor& lists, int source, BucketLimit limit,
                    const Tensor& granted_table, const Tensor& granted, const Stream& stream);

/// kept[j] = granted[place[j]], both uint8 [choices], for the choices j below the last of offsets.
void mark_kept(const Tensor& offsets, const Tensor& place, const Tensor& granted, const Tensor& kept,
               const Stream& stream);

}  // namespace coe::cuda
