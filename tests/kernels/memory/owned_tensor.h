#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "kernels/memory/buffer.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// A tensor with memory of its own, which starts `offset` elements after a 64-byte boundary.
template <class T>
class Owned {
 public:
  explicit Owned(Shape shape, std::vector<T> values = {}, std::size_t offset = 0)
      : buffer_((static_cast<std::size_t>(shape.elements()) + offset) * sizeof(T)),
        tensor_(buffer_.data() + offset * sizeof(T), dtype_of<T>(), shape) {
    values.resize(static_cast<std::size_t>(shape.elements()));
    std::copy(values.begin(), values.end(), begin());
  }
  operator const Tensor&() const { return tensor_; }
  const Tensor& tensor() const { return tensor_; }
  T& operator[](std::int64_t i) const { return tensor_.data<T>()[i]; }
  T* begin() const { return tensor_.data<T>(); }
  T* end() const { return begin() + tensor_.elements(); }
  std::vector<T> values() const { return {begin(), end()}; }

 private:
  Buffer buffer_;
  Tensor tensor_;
};

using Floats = Owned<float>;
using Ints = Owned<std::int32_t>;

/// Normal numbers, the same ones for the same seed.
inline std::vector<float> normal(std::int64_t n, unsigned seed, float deviation = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> draw(0.0F, deviation);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = draw(generator);
  return values;
}

inline Floats normal_tensor(Shape shape, unsigned seed, float deviation = 1.0F, std::size_t offset = 0) {
  return Floats(shape, normal(shape.elements(), seed, deviation), offset);
}

inline bool same_bits(const Tensor& x, const Tensor& y) {
  return x.elements() == y.elements() && (x.bytes() == 0 || std::memcmp(x.raw(), y.raw(), x.bytes()) == 0);
}

/// The largest |got - wanted| / (1 + |wanted|); infinite where one of them is NaN or the lengths differ.
inline double worst_error(const Tensor& tensor, std::span<const double> wanted) {
  const std::span<const float> got = tensor.span<float>();
  if (got.size() != wanted.size()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - wanted[i]) / (1 + std::abs(wanted[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

}  // namespace coe
