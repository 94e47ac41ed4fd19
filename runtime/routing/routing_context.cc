#include "runtime/routing/routing_context.h"

#include <array>
#include <bit>

#include "kernels/memory/copy.h"

namespace coe {

RandomKey routing_key(const StepRandom& random, std::int64_t place, RoutingDraw purpose) {
  const RandomKey run{random.seed, static_cast<std::uint64_t>(purpose)};
  return {random_bits(run, static_cast<std::uint64_t>(random.step)), static_cast<std::uint64_t>(place)};
}

RoutingNumbers numbers_of(const RoutingContext& context, std::int64_t length, Arena& arena, const Stream& stream) {
  if (context.numbers.l1_coeff.elements() > 0) return context.numbers;
  std::array<std::int64_t, 5> numbers{std::bit_cast<std::int64_t>(context.l1_coeff)};
  if (context.random) {
    const auto seed = [&](RoutingDraw purpose) {
      return static_cast<std::int64_t>(routing_key(*context.random, 0, purpose).seed);
    };
    const std::int64_t token = context.random->first_sequence * length;
    numbers = {numbers[0], seed(RoutingDraw::kJitter), token, seed(RoutingDraw::kNoise), token};
  }
  const Tensor there = arena.make<std::int64_t>({std::ssize(numbers)});
  write(numbers, there, stream);
  return {there.rows(1, 4).reshaped({2, 2}), Tensor(there.raw(), DType::kF64, {1}, there.device())};
}

TokenDraw draw_of(const Tensor& draws, RoutingDraw purpose, std::int64_t place, std::int64_t token) {
  return {draws[purpose == RoutingDraw::kJitter ? 0 : 1], static_cast<std::uint64_t>(place), token};
}

}  // namespace coe
