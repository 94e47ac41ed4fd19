#pragma once

#include "runtime/device_plan.h"

namespace coe {

/// The twin of admission by probability, on a device whose ranks see one another's scores; the plan then places what is
/// kept. Both calls belong to one meeting: every rank asks before it, and decides after it.

/// This rank's choices in the order of (expert, token).
struct DeviceAsks {
  Tensor place;  ///< int32 [choices]
};
/// Writes the scores of counted choices in that order to the exchange's list. all int32 [2] is 0, N.
DeviceAsks ask_for_places(const cuda::DeviceChoices& choices, const DevicePlan& plan, const Tensor& all,
                          const DeviceExchange& exchange, Arena& arena, const Stream& stream);
/// Decides what is kept: plan.kept, and plan.counts of it alone. Returns the rows of all ranks' kept choices, int32
/// [R, N].
Tensor admit_by_score(const cuda::DeviceChoices& choices, const DeviceAsks& asks, const DeviceExchange& exchange,
                      cuda::BucketLimit limit, DevicePlan& plan, Arena& arena, const Stream& stream);

}  // namespace coe
