#pragma once

#include "kernels/routing/route.h"

namespace coe::cuda {

// The twin of runtime/routing/reroute.h: choices without a place ask for their token's next best expert, in rounds.
// Everything is in device memory; the limits are those of route_topk().

/// One for every choice of the router, which stands in for it where it got no place.
struct Standbys {
  Tensor tried;    ///< int32 [T, 32], bits of the experts that the token has chosen or asked for
  Tensor expert;   ///< int32 [choices], the expert asked for last; undefined before
  Tensor score;    ///< fp32 [choices], of that expert
  Tensor asking;   ///< uint8 [choices], 1 in a round in which it asks
  Tensor granted;  ///< uint8 [choices], 1 once it has a place; 0 before the first round
};

/// One round's asks: every choice with neither `kept`, uint8 [choices], nor a standby that was granted asks for the
/// best expert by scores [T, N] + bias that is open to its token and that the token has not tried, ties to the lower
/// one. The first round begins with what the router chose.
void ask_next_best(const Tensor& scores, const Tensor& bias, const TopkRule& rule, const DeviceChoices& choices,
                   const Tensor& kept, bool first_round, const Standbys& standbys, const Stream& stream);

/// all, with room for T min(2 K, N) choices, and all_kept, uint8 of as many, become the router's choices and the
/// granted standbys, which are kept and not chosen; a weight is scale s, or scale s over the sum of the chosen where
/// the rule normalises.
void merge_standbys(const Tensor& scores, const TopkRule& rule, const DeviceChoices& choices, const Tensor& kept,
                    const Standbys& standbys, const DeviceChoices& all, const Tensor& all_kept, const Stream& stream);

}  // namespace coe::cuda
