#include "runtime/routing/routing_context.h"

namespace coe {

RandomKey routing_key(const StepRandom& random, std::int64_t place, RoutingDraw purpose) {
  const RandomKey run{random.seed, static_cast<std::uint64_t>(purpose)};
  return {random_bits(run, static_cast<std::uint64_t>(random.step)), static_cast<std::uint64_t>(place)};
}

}  // namespace coe
