#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/arena.h"
#include "kernels/tensor.h"

namespace coe {

/// A tensor that holds `values` in row-major order.
template <class T>
Tensor tensor_of(Shape shape, const std::vector<std::type_identity_t<T>>& values, Arena& arena) {
  const Tensor tensor = arena.make<T>(shape);
  std::ranges::copy(values, tensor.template span<T>().begin());
  return tensor;
}

template <class T>
std::vector<T> values_of(const Tensor& tensor) {
  const auto values = tensor.span<T>();
  return {values.begin(), values.end()};
}

/// The elements as doubles, for the slow obvious way.
inline std::vector<double> doubles_of(const Tensor& tensor) {
  const auto values = tensor.span<float>();
  return {values.begin(), values.end()};
}

/// Uniform between -bound and bound.
inline std::vector<float> random_floats(std::int64_t count, float bound, std::mt19937& random) {
  std::uniform_real_distribution<float> uniform(-bound, bound);
  std::vector<float> values(static_cast<std::size_t>(count));
  std::ranges::generate(values, [&] { return uniform(random); });
  return values;
}

inline Tensor random_tensor(Shape shape, float bound, std::mt19937& random, Arena& arena) {
  return tensor_of<float>(shape, random_floats(shape.elements(), bound, random), arena);
}

}  // namespace coe
