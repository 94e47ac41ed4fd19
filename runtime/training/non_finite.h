#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/model/model.h"

namespace coe {

/// Where a number that is not finite stands first. Places are numbered alike on all ranks, in the order in which a step
/// comes to them.
struct NonFinite {
  std::int64_t place = 0;
  std::string what;         ///< "layer 3, iteration 1: expert output"
  std::int64_t token = -1;  ///< of the step's batch; -1 where it is no token's
};

/// In this rank's weights, which lie on the host, in forward order.
std::optional<NonFinite> non_finite_weight(const ModelConfig& model, const Parameters& parameters);
/// In this rank's gradients, in the order in which the backward comes to them: from the head down.
std::optional<NonFinite> non_finite_gradient(const ModelConfig& model, const Parameters& parameters);
/// In what Model::activations() has just computed, `hidden`, and kept, on any device; the first of its tokens is number
/// `first_token` of the step. The group is waited for by its patience alone.
std::optional<NonFinite> non_finite_activation(const Model& model, const Tensor& hidden, std::int64_t first_token,
                                               const Group& group);

/// The first place of all ranks, of several in one place the lowest rank's, in words that are the same on every rank:
/// "layer 3, iteration 1: expert output is not finite (rank 1, first at token 17)"; empty without any. Collective.
std::string first_of_all(const Group& world, const std::optional<NonFinite>& mine);

}  // namespace coe
