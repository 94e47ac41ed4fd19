#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/config/config.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// What a chain layer is going to be used for, as far as it decides how much memory that takes.
struct LayerUse {
  std::int64_t tokens = 0;     ///< of one rank in one forward
  std::int64_t ranks = 1;      ///< of the expert-parallel group
  std::int64_t elsewhere = 0;  ///< how many of them only messages reach
  std::int64_t in_flight = 1;  ///< results of so many exchanges not yet taken
  bool backward = true;        ///< follows each forward
  bool learning = false;  ///< top-k routers may have learned nothing yet, which gives ranks up to twice their share
  bool packed = false;    ///< its experts' weights are (ChainLayer::pack_experts)
};

/// A hint of what a chain layer takes on one rank beside its weights, for buffers to be made before its first step.
/// With capacity it is never passed. Without, it is meant for ranks that take their even share of the choices (ReMoE:
/// half of all experts a token, where it begins) and 1/16 more, or twice that share; more makes buffers grow, by
/// doubling.
struct LayerSize {
  std::int64_t rows = 0;         ///< that a rank's experts take in one iteration
  std::size_t arena_bytes = 0;   ///< of what lives in the step's Arena
  std::size_t saved_bytes = 0;   ///< those of them that stay from a forward to its backward
  std::size_t window_bytes = 0;  ///< of an exact Exchange for this layer alone
  std::size_t mail_bytes = 0;    ///< of its messages, however many layers share it
  std::size_t packed_bytes = 0;  ///< of packed weights

  std::size_t bytes() const { return arena_bytes + window_bytes + mail_bytes + packed_bytes; }
};

LayerSize layer_size(const LayerConfig& config, const LayerUse& use);

/// The most rows of one expert from `tokens` tokens of all `ranks` ranks, 0 where it takes any number: with capacity of
/// rank scope every rank rounds up.
std::int64_t most_of_an_expert(const LayerConfig& config, std::int64_t tokens, int ranks);
/// The most rows of any rank, which is what they are with pad_to_capacity.
std::int64_t most_rows(const LayerConfig& config, const Placement& placement, std::int64_t tokens);
/// The most rows that a rank sends to another, where no rank has more than `rank_tokens` of `tokens` of all ranks: what
/// messages of fixed size have.
std::int64_t message_rows(const LayerConfig& config, const Placement& placement, std::int64_t rank_tokens,
                          std::int64_t tokens);

}  // namespace coe
