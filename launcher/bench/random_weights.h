#pragma once

#include "comm/collectives.h"
#include "runtime/config/config.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/model/parameters.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// A chain layer's weights on a rank that holds `experts`: normal numbers of deviation 1 / sqrt(inputs), so that rows
/// keep their size; what is replicated is the same on every rank. All of it has been touched once.
class RandomWeights {
 public:
  /// Collective.
  RandomWeights(const LayerConfig& layer, const ExpertIds& experts, Group world);

  ChainWeights views();
  const Parameters& parameters() const { return parameters_; }
  void zero_gradients() { parameters_.zero_gradients(); }

 private:
  LayerConfig layer_;
  ExpertIds experts_;
  Parameters parameters_;
};

}  // namespace coe
