#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"

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
inline Tensor random_tensor(Shape shape, float bound, std::mt19937& random, Arena& arena) {
  std::uniform_real_distribution<float> uniform(-bound, bound);
  const Tensor tensor = arena.make<float>(shape);
  std::ranges::generate(tensor.span<float>(), [&] { return uniform(random); });
  return tensor;
}

/// Every element of an fp32 tensor within `tolerance` of what is expected.
inline void expect_near(const Tensor& actual, const std::vector<double>& expected, double tolerance) {
  const std::vector<double> values = doubles_of(actual);
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], tolerance) << "element " << i;
}

}  // namespace coe
