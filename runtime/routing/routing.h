#pragma once

#include <cstdint>
#include <span>

#include "kernels/memory/tensor.h"

namespace coe {

/// For each of this rank's tokens its experts and mixing weights, a variable number of them: choices j in
/// [offsets[t], offsets[t + 1]) belong to token t, in ascending expert id. Views the step's Arena.
struct Routing {
  std::int64_t experts = 0;  ///< N
  Tensor offsets;            ///< int32 [T + 1]
  Tensor expert;             ///< int32 [choices], global expert id
  Tensor weight;             ///< fp32 [choices], mixing weight w
  Tensor score;              ///< fp32 [choices], what choices are ranked by where capacity is short
  Tensor chosen;             ///< uint8 [choices], 1 where the router chose it, 0 where rerouting put it in
  Tensor kept;               ///< uint8 [choices], 1 where the choice keeps its place; the router sets all to 1

  std::int64_t tokens() const { return offsets.elements() - 1; }
  std::int64_t choices() const { return expert.elements(); }
};

/// Choices per expert, before any is dropped: counts [N] of `routing`'s tokens [first, first + tokens), overwritten.
void count_choices(const Routing& routing, std::int64_t first, std::int64_t tokens, std::span<std::int32_t> counts);

}  // namespace coe
