#pragma once

#include "comm/collectives.h"
#include "runtime/chain_layer.h"
#include "runtime/config.h"
#include "runtime/parameters.h"
#include "runtime/share.h"

namespace coe {

/// A chain layer's weights on a rank that holds `experts`: normal numbers of deviation 1 / sqrt(inputs), so that rows
/// keep their size; what is replicated is the same on every rank. All of it has been touched once.
class RandomWeights {
 public:
  /// Collective.
  RandomWeights(const LayerConfig& layer, Share experts, Group world);

  ChainWeights views();
  void zero_gradients() { parameters_.zero_gradients(); }

 private:
  LayerConfig layer_;
  Share experts_;
  Parameters parameters_;
};

}  // namespace coe
