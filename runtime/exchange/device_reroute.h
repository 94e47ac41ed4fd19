#pragma once

#include "kernels/routing/reroute.h"
#include "runtime/exchange/device_admission.h"
#include "runtime/routing/device_gate.h"

namespace coe {

/// The twin of reroute(): choices without a place ask for their token's next best expert, a round a meeting. No rank
/// knows on the host that nobody asks any more, so all rounds are held.

/// What stands in for a router's choices that got no place; views the step's Arena.
struct DeviceStandbys {
  cuda::Standbys kernels;
  DeviceAsks asks;  ///< the same, as they ask
};
DeviceStandbys stand_by(const cuda::DeviceChoices& choices, Arena& arena, const Stream& stream);

/// Decides on a round's asks, from 1 on, and counts them; kept uint8 [choices] of the router's choices.
DevicePlan ask_next_best(const DeviceGate& gate, const DeviceRouted& routed, const Tensor& kept, int round,
                         const DeviceStandbys& standbys, Arena& arena, const Stream& stream);

/// routed.choices become the router's and the granted, and are counted but for those without a place.
DevicePlan merge_standbys(const DeviceGate& gate, const Tensor& kept, const DeviceStandbys& standbys,
                          DeviceRouted& routed, Arena& arena, const Stream& stream);

}  // namespace coe
