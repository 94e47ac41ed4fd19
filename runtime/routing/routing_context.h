#pragma once

#include <cstdint>
#include <optional>

#include "kernels/memory/arena.h"
#include "kernels/memory/random.h"
#include "kernels/memory/stream.h"
#include "kernels/routing/router_noise.h"

namespace coe {

/// Where a training step's random numbers come from: each is a function of these, of layer and iteration, and of the
/// token's place among all tokens of the step, so that it depends on no number of ranks and on no micro-batch.
struct StepRandom {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::int64_t first_sequence = 0;  ///< of the micro-batch, counted over the step
};

enum class RoutingDraw : std::uint64_t { kJitter = 0x6a6974746572, kNoise = 0x6e6f697365 };

/// The sequence of one step's numbers for one purpose in one (layer, iteration), counted by `place` = layer * C +
/// iteration; number i of token n stands at n * (numbers a token) + i, n counted over the step.
RandomKey routing_key(const StepRandom& random, std::int64_t place, RoutingDraw purpose);

/// What routing draws from and weighs by in one step, where the tokens are.
struct RoutingNumbers {
  Tensor draws;     ///< int64 [2, 2], of jitter and of noise: TokenDraw::step
  Tensor l1_coeff;  ///< fp64 [1]
};

/// What routing depends on besides weights and tokens.
struct RoutingContext {
  double l1_coeff = 0;                 ///< ReMoE's lambda
  std::optional<StepRandom> random{};  ///< none: no noise and no jitter, as where nothing is trained
  /// Where nothing is trained: in the place of the layer's; 0: no choice is dropped, rerouted or padded for.
  std::optional<double> capacity_factor{};
  bool replayed = false;     ///< the same forward as before, for a backward: nobody counts its routing again
  RoutingNumbers numbers{};  ///< the first two as numbers_of() gives them; empty: not there yet
};

/// The context's numbers, taken off the arena where they are not there yet; `length` tokens a sequence.
RoutingNumbers numbers_of(const RoutingContext& context, std::int64_t length, Arena& arena, const Stream& stream);
/// Those of one purpose, where tokens count from `token` of the micro-batch.
TokenDraw draw_of(const Tensor& draws, RoutingDraw purpose, std::int64_t place, std::int64_t token);

}  // namespace coe
