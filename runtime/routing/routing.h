#pragma once

#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"
#include "kernels/routing/route.h"

namespace coe {

/// For each of this rank's tokens its experts and mixing weights, a variable number of them: choices j in
/// [offsets[t], offsets[t + 1]) belong to token t, in ascending expert id. Views the step's Arena. Where the host
/// cannot read it, `choices` is as many as there can be, and what stands behind the last offset is undefined.
struct Routing {
  std::int64_t experts = 0;  ///< N
  Tensor offsets;            ///< int32 [T + 1]
  Tensor expert;             ///< int32 [choices], global expert id
  Tensor weight;             ///< fp32 [choices], mixing weight w
  Tensor score;              ///< fp32 [choices], what choices are ranked by where capacity is short
  Tensor chosen;             ///< uint8 [choices], 1 where the router chose it, 0 where rerouting put it in; empty: 1
  Tensor kept;               ///< uint8 [choices], 1 where the choice keeps its place; empty: 1

  std::int64_t tokens() const { return offsets.elements() - 1; }
  std::int64_t choices() const { return expert.elements(); }
  /// As kernels of a device take it.
  cuda::DeviceChoices on_device() const { return {offsets, expert, weight, score, chosen}; }
};

/// Choices per expert, before any is dropped: counts [N] of `routing`'s tokens [first, first + tokens), overwritten.
void count_choices(const Routing& routing, std::int64_t first, std::int64_t tokens, std::span<std::int32_t> counts);

/// Choices per expert as a device counts them, for a stable sort of choices by expert.
struct ChoiceCounts {
  Tensor totals;   ///< int32 [1, N]
  Tensor earlier;  ///< int32 [blocks, N], of the blocks of tokens before each one
};
/// Of all choices whose `kept`, uint8 [choices], is not 0; empty: of all.
ChoiceCounts count_choices(const cuda::DeviceChoices& choices, const Tensor& kept, std::int64_t experts, Arena& arena,
                           const Stream& stream);

}  // namespace coe
