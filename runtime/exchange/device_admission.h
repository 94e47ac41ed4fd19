#pragma once

#include "runtime/config/config.h"
#include "runtime/exchange/device_plan.h"

namespace coe {

/// The twin of grant_places(), on a device whose ranks see one another's asks. What asks before a meeting is granted
/// after it, and each round has a meeting.

/// This rank's asks for places in one round; views the step's Arena.
struct DeviceAsks {
  Tensor offsets;  ///< int32 [T + 1]: asks j in [offsets[t], offsets[t + 1]) are token t's
  Tensor expert;   ///< int32 [asks], different ones of a token
  Tensor score;    ///< fp32 [asks]
  Tensor asking;   ///< uint8 [asks], 0 where none is made; empty: all are
  Tensor granted;  ///< uint8 [asks], written where an ask is made
  Tensor place;    ///< int32 [asks] in the order of (expert, token), -1 where none is made
};

/// All choices of a router ask.
DeviceAsks asks_of(const cuda::DeviceChoices& choices, Arena& arena);
/// Tells all ranks of the asks, which `counted` has counted. all int32 [2] is 0, N.
void ask_for_places(DropPolicy policy, const DeviceAsks& asks, const DevicePlan& counted, int round, const Tensor& all,
                    const DeviceExchange& exchange, Arena& arena, const Stream& stream);
/// Grants them the places that are left: asks.granted, and `taken` int32 [R, N], rows of all ranks so far, follow.
void grant_places(DropPolicy policy, const DeviceAsks& asks, int round, cuda::BucketLimit limit, const Tensor& taken,
                  const DeviceExchange& exchange, Arena& arena, const Stream& stream);

}  // namespace coe
