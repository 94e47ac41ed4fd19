#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "runtime/config/config.h"
#include "runtime/routing/routing.h"

namespace coe {

/// How often experts were chosen, chosen together and chosen one after the other: what a placement over ranks can be
/// made from. Counts the choices that have a place after admission, which are the rows that travel. All tensors
/// row-major.
struct RoutingRecord {
  std::string model;  ///< "CoE-2(4/64)"
  std::int64_t layers = 0, iterations = 0, experts = 0, top_k = 0;
  bool fixed_choices = true;   ///< A token chooses exactly K experts per iteration; false: any number of them.
  std::int64_t steps = 0;      ///< optimiser steps that were counted; 0 for an evaluation
  std::int64_t last_step = 0;  ///< the last of them
  std::int64_t tokens = 0;     ///< that passed through every layer

  std::vector<std::int64_t> load;     ///< [layers, C, N] choices
  std::vector<std::int64_t> dropped;  ///< [layers, C] choices that found no place, counted nowhere else
  /// [layers, C, N, N] tokens that chose both experts in one iteration: symmetric, the load on its diagonal.
  std::vector<std::int64_t> coactivation;
  /// [layers, C - 1, N, N] pairs (choice of expert i at t, choice of expert j at t + 1) of one token.
  std::vector<std::int64_t> transitions;
  /// [layers - 1, N, N] the same from a layer's last iteration to the next layer's first.
  std::vector<std::int64_t> layer_transitions;

  bool operator==(const RoutingRecord&) const = default;
  /// Whether both are of models of one name and one shape, so that their counts may be added up.
  bool fits(const RoutingRecord& other) const;

  std::span<const std::int64_t> load_of(std::int64_t layer, std::int64_t iteration) const;
  std::int64_t dropped_of(std::int64_t layer, std::int64_t iteration) const;
  std::span<const std::int64_t> coactivation_of(std::int64_t layer, std::int64_t iteration) const;
  /// From one (layer, iteration) to the one that follows it, in the next layer after the last iteration.
  std::span<const std::int64_t> transitions_from(std::int64_t layer, std::int64_t iteration) const;
};

/// A record of nothing yet.
RoutingRecord empty_routing_record(const ModelConfig& config);

/// Counts the routing of one rank's tokens.
class RoutingCounter {
 public:
  /// Goes on from `record`; of all ranks' counters one may have counts to go on from.
  explicit RoutingCounter(RoutingRecord record) : record_(std::move(record)) {}

  /// Takes a routing on the host, after admission; a micro-batch goes through all iterations of all layers in order.
  void count(std::int64_t layer, std::int64_t iteration, const Routing& routing);
  void count_step(std::int64_t step);
  /// What all ranks counted. Collective.
  RoutingRecord sum(Group world) const;

 private:
  /// The experts that kept a token, token by token.
  struct Choices {
    std::vector<std::int32_t> offsets, experts;
    std::span<const std::int32_t> of(std::size_t token) const;
  };

  void count_pairs(const Choices& from, const Choices& to, std::span<std::int64_t> pairs) const;

  RoutingRecord record_;
  Choices earlier_, now_;
};

}  // namespace coe
