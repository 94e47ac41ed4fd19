#include "launcher/bench/random_weights.h"

#include <cmath>

#include "kernels/memory/random.h"
#include "runtime/model/model_parameters.h"

namespace coe {

RandomWeights::RandomWeights(const LayerConfig& layer, const ExpertIds& experts, Group world)
    : layer_(layer), experts_(experts), parameters_(chain_specs(layer, "", experts), true) {
  std::uint64_t stream = 0;
  for (const Parameter& parameter : parameters_.all()) {
    const auto inputs = static_cast<float>(parameter.value.extent(1));
    fill_normal(parameter.value, {7, ++stream + 1000U * static_cast<std::uint64_t>(world.rank())}, 0,
                1 / std::sqrt(inputs));
    if (parameter.expert) continue;
    broadcast(world, {parameter.value.raw(), parameter.value.bytes()}, 0, {"benchmark"});
  }
  zero_gradients();
}

ChainWeights RandomWeights::views() { return chain_weights(layer_, "", experts_, parameters_); }

}  // namespace coe
