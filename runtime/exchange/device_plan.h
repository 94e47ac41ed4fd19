#pragma once

#include "kernels/memory/arena.h"
#include "kernels/routing/buckets.h"
#include "kernels/routing/route.h"
#include "runtime/exchange/device_exchange.h"

namespace coe {

/// Which row goes where, known to the device alone; the twin of DispatchPlan. Views the step's Arena.
struct DevicePlan {
  Tensor counts;  ///< int32 [blocks, N], as scan_buckets() leaves it
  Tensor totals;  ///< int32 [N] choices of this rank that were counted
  Tensor kept;    ///< uint8 [choices], 0 where a choice asks for no place; empty: all do
  cuda::BucketPlaces buckets;
  cuda::RowPlaces rows;
};

/// Counts this rank's choices that `kept` has, uint8 [choices], or all where it is empty; nothing is placed yet.
DevicePlan count_choices(const cuda::DeviceChoices& choices, const Tensor& kept, std::int64_t experts, Arena& arena,
                         const Stream& stream);
/// Places them, once `table` [R, N] has all ranks' totals, or what they keep of them; first int32 [R + 1] is each
/// rank's first expert.
void place_choices(const cuda::DeviceChoices& choices, const Tensor& table, const Tensor& first,
                   const Placement& placement, int rank, cuda::BucketLimit limit, DevicePlan& plan, Arena& arena,
                   const Stream& stream);

/// Zeroes this rank's rows that are nobody's, and what stands beside them unless `scalar` is empty.
void clear_padding(const DevicePlan& plan, const Tensor& rows, const Tensor& scalar, const Stream& stream);

/// The most rows that any rank's experts can get from `tokens` tokens of all ranks that choose `each` experts, with no
/// expert taking more than `limit` (0: any number) in all.
std::int64_t most_rows(const Placement& placement, std::int64_t tokens, std::int64_t each, std::int64_t limit);

}  // namespace coe
