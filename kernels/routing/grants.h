#pragma once

#include <cstdint>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe::cuda {

// Places in buckets that are asked for, in rounds; grant_places() is the truth on the CPU. Everything is in device
// memory. A source's list holds its asks by (bucket, token).
//
// Of each bucket `capacity` rows of all sources together are granted in all rounds. table int32 [S, N], how many asks
// each source has for each bucket; taken int32 [S, N], rows granted in earlier rounds, to
// which this round's are added; granted uint8 [asks], in the order of this source's list.

/// list[place[j]] = score[j] for the asks j below the last of offsets [T + 1]; place int32 [asks], -1 of what does not
/// ask; score fp32 [asks], list fp32 [>= asks].
void list_scores(const Tensor& offsets, const Tensor& place, const Tensor& score, const Tensor& list,
                 const Stream& stream);

/// Grants what is first by (source, token).
void grant_by_position(const Tensor& table, int source, std::int32_t capacity, const Tensor& taken,
                       const Tensor& granted, const Stream& stream);
/// Grants what is of the largest scores, then first by (source, token). Scores are not negative. lists int64 [S],
/// addresses of the sources' lists.
void grant_by_score(const Tensor& table, const Tensor& lists, int source, std::int32_t capacity, const Tensor& taken,
                    const Tensor& granted, const Stream& stream);

/// kept[j] = granted[place[j]], both uint8 [asks], for the asks j below the last of offsets whose place is not -1.
void mark_kept(const Tensor& offsets, const Tensor& place, const Tensor& granted, const Tensor& kept,
               const Stream& stream);

}  // namespace coe::cuda
