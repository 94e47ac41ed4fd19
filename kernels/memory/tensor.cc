#include "kernels/memory/tensor.h"

#include <algorithm>
#include <sstream>

#include "kernels/memory/error.h"

namespace coe {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32: return 4;
    case DType::kF64:
    case DType::kI64: return 8;
    case DType::kU8: return 1;
    case DType::kU16:
    case DType::kBF16: return 2;
  }
  fail(ErrorCode::kInternal, "tensor: unknown dtype");
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "F32";
    case DType::kF64: return "F64";
    case DType::kI32: return "I32";
    case DType::kI64: return "I64";
    case DType::kU8: return "U8";
    case DType::kU16: return "U16";
    case DType::kBF16: return "BF16";
  }
  fail(ErrorCode::kInternal, "tensor: unknown dtype");
}

Shape::Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  if (rank_ > kMaxRank) fail(ErrorCode::kInternal, "shape: ", rank_, " axes, at most ", kMaxRank);
  std::ranges::copy(extents, extents_.begin());
  if (std::ranges::any_of(extents, [](std::int64_t extent) { return extent < 0; })) {
    fail(ErrorCode::kInternal, "shape: ", text(), " has a negative extent");
  }
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (int axis = 0; axis < rank_; ++axis) product *= (*this)[axis];
  return product;
}

std::string Shape::text() const {
  std::ostringstream out;
  out << '[';
  for (int axis = 0; axis < rank_; ++axis) out << (axis ? ", " : "") << (*this)[axis];
  out << ']';
  return out.str();
}

Tensor Tensor::rows(std::int64_t first, std::int64_t count) const {
  if (shape_.rank() == 0 || first < 0 || count < 0 || first + count > extent(0)) {
    fail(ErrorCode::kInternal, "tensor: rows [", first, ", ", first + count, ") of ", shape_.text());
  }
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  std::int64_t row = 1;
  for (int axis = 1; axis < shape_.rank(); ++axis) row *= extents[static_cast<std::size_t>(axis)] = extent(axis);
  extents[0] = count;
  const auto offset = static_cast<std::size_t>(first * row) * size_of(dtype_);
  return {data_ + offset, dtype_, Shape(std::span(extents.data(), static_cast<std::size_t>(shape_.rank()))), device_};
}

Tensor Tensor::operator[](std::int64_t index) const {
  const Tensor row = rows(index, 1);
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  for (int axis = 1; axis < shape_.rank(); ++axis) extents[static_cast<std::size_t>(axis - 1)] = extent(axis);
  return row.reshaped(Shape(std::span(extents.data(), static_cast<std::size_t>(shape_.rank() - 1))));
}

Tensor Tensor::reshaped(Shape shape) const {
  if (shape.elements() != elements()) {
    fail(ErrorCode::kInternal, "tensor: ", shape_.text(), " cannot become ", shape.text());
  }
  return {data_, dtype_, shape, device_};
}

void Tensor::require(DType wanted) const {
  if (dtype_ != wanted)
    fail(ErrorCode::kInternal, "tensor: dtype is ", name_of(dtype_), ", asked for ", name_of(wanted));
}

void expect_shape(std::string_view what, const Tensor& tensor, const Shape& shape) {
  if (tensor.shape() != shape) [[unlikely]]
    fail(ErrorCode::kInternal, what, " is ", tensor.shape().text(), ", must be ", shape.text());
}

std::int64_t row_elements(const Tensor& tensor) {
  std::int64_t elements = 1;
  for (int axis = 1; axis < tensor.shape().rank(); ++axis) elements *= tensor.extent(axis);
  return elements;
}

void expect_rank(std::string_view what, const Tensor& tensor, int rank) {
  if (tensor.shape().rank() != rank) [[unlikely]]
    fail(ErrorCode::kInternal, what, " is ", tensor.shape().text(), ", must have ", rank, " axes");
}

}  // namespace coe
