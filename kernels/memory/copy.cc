#include "kernels/memory/copy.h"

#include <algorithm>
#include <cstring>

#include "kernels/memory/error.h"

namespace coe {
namespace {

void expect_elements(const char* what, const Tensor& from, const Tensor& to) {
  if (from.elements() != to.elements()) {
    fail(ErrorCode::kInternal, what, ": ", from.shape().text(), " to ", to.shape().text());
  }
}

void expect_on(const char* what, const Tensor& x, const Stream& stream) {
  if (x.device() != stream.device()) fail(ErrorCode::kInternal, what, ": memory and stream are of different devices");
}

bool on_cuda(const Stream& stream) { return stream.device().kind == Device::Kind::kCuda; }

template <class From, class To, class Convert>
void convert(const Tensor& from, const Tensor& to, Convert number) {
  std::ranges::transform(from.span<From>(), to.data<To>(), number);
}

}  // namespace

void copy(const Tensor& from, const Tensor& to, const Stream& stream) {
  expect_elements("copy", from, to);
  if (from.dtype() != to.dtype()) {
    fail(ErrorCode::kInternal, "copy: from ", name_of(from.dtype()), " to ", name_of(to.dtype()));
  }
  if (from.bytes() == 0) return;
  if (on_cuda(stream)) return cuda::copy(from, to, stream);
  expect_on("copy", from, stream);
  expect_on("copy", to, stream);
  std::memcpy(to.raw(), from.raw(), from.bytes());
}

void write(std::span<const std::int64_t> values, const Tensor& to, const Stream& stream) {
  expect_on("write", to, stream);
  expect_shape("write: to", to, {std::ssize(values)});
  if (values.size() > kWrittenAtOnce) fail(ErrorCode::kInternal, "write: ", values.size(), " values at once");
  if (on_cuda(stream)) return cuda::write(values, to, stream);
  std::ranges::copy(values, to.data<std::int64_t>());
}

void clear(const Tensor& x, const Stream& stream) {
  expect_on("clear", x, stream);
  if (x.bytes() == 0) return;
  if (on_cuda(stream)) return cuda::clear(x, stream);
  std::memset(x.raw(), 0, x.bytes());
}

void fill(const Tensor& x, float value, const Stream& stream) {
  expect_on("fill", x, stream);
  if (x.bytes() == 0) return;
  if (on_cuda(stream)) return cuda::fill(x, value, stream);
  switch (x.dtype()) {
    case DType::kF32: std::ranges::fill(x.span<float>(), value); return;
    case DType::kBF16: std::ranges::fill(x.span<Bf16>(), to_bf16(value)); return;
    case DType::kI32: std::ranges::fill(x.span<std::int32_t>(), static_cast<std::int32_t>(value)); return;
    default: fail(ErrorCode::kInternal, "fill: dtype is ", name_of(x.dtype()), ", must be F32, BF16 or I32");
  }
}

void cast(const Tensor& from, const Tensor& to, const Stream& stream) {
  expect_elements("cast", from, to);
  expect_on("cast", from, stream);
  expect_on("cast", to, stream);
  const bool narrows = from.dtype() == DType::kF32 && to.dtype() == DType::kBF16;
  if (!narrows && (from.dtype() != DType::kBF16 || to.dtype() != DType::kF32)) {
    fail(ErrorCode::kInternal, "cast: from ", name_of(from.dtype()), " to ", name_of(to.dtype()));
  }
  if (from.bytes() == 0) return;
  if (on_cuda(stream)) return cuda::cast(from, to, stream);
  if (narrows) return convert<float, Bf16>(from, to, to_bf16);
  convert<Bf16, float>(from, to, to_float);
}

}  // namespace coe
