#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "kernels/memory/bf16.h"
#include "kernels/memory/device.h"

namespace coe {

enum class DType : std::uint8_t { kF32, kF64, kI32, kI64, kU8, kU16, kBF16 };

std::size_t size_of(DType dtype);
/// The name that safetensors uses: "F32", "I64", ...
std::string_view name_of(DType dtype);

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::kF32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::kF64;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::kI32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::kI64;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::kU8;
}
template <>
constexpr DType dtype_of<std::uint16_t>() {
  return DType::kU16;
}
template <>
constexpr DType dtype_of<Bf16>() {
  return DType::kBF16;
}

/// Up to four extents, row-major; a scalar has none and one element.
class Shape {
 public:
  static constexpr int kMaxRank = 4;
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);
  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return extents_[static_cast<std::size_t>(axis)]; }
  std::int64_t elements() const;
  /// "[3, 4]"
  std::string text() const;
  bool operator==(const Shape&) const = default;

 private:
  int rank_ = 0;
  std::array<std::int64_t, kMaxRank> extents_{};
};

/// A view of contiguous row-major memory that somebody else owns (a Buffer, an Arena, a file's mapping).
class Tensor {
 public:
  Tensor() = default;
  Tensor(void* data, DType dtype, Shape shape, Device device = kCpu)
      : data_(static_cast<std::byte*>(data)), dtype_(dtype), shape_(shape), device_(device) {}

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  /// Extent of one axis.
  std::int64_t extent(int axis) const { return shape_[axis]; }
  std::int64_t elements() const { return shape_.elements(); }
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * size_of(dtype_); }
  Device device() const { return device_; }
  /// Whether the host may read it once a verb that wrote it has returned.
  bool on_host() const { return device_.kind == Device::Kind::kCpu; }
  std::byte* raw() const { return data_; }

  /// The elements as T; throws kInternal where the dtype is another.
  template <class T>
  T* data() const {
    require(dtype_of<T>());
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  std::span<T> span() const {
    return {data<T>(), static_cast<std::size_t>(elements())};
  }

  /// Rows [first, first + count) along the first axis.
  Tensor rows(std::int64_t first, std::int64_t count) const;
  /// Element `index` of the first axis, one axis fewer.
  Tensor operator[](std::int64_t index) const;
  /// The same elements under another shape.
  Tensor reshaped(Shape shape) const;

 private:
  void require(DType wanted) const;

  std::byte* data_ = nullptr;
  DType dtype_ = DType::kF32;
  Shape shape_{0};
  Device device_;
};

/// Elements of one of the first axis.
std::int64_t row_elements(const Tensor& tensor);

/// Throws kInternal unless the tensor has this shape: expect_shape("softmax: p", p, {T, N}).
void expect_shape(std::string_view what, const Tensor& tensor, const Shape& shape);
/// Throws kInternal unless the tensor has this many axes.
void expect_rank(std::string_view what, const Tensor& tensor, int rank);

}  // namespace coe
