#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// to = from: same dtype and as many elements, each on any device. On a CUDA stream it is done when the stream is; host
/// memory must stay till then.
void copy(const Tensor& from, const Tensor& to, const Stream& stream);
/// to = values, which need not stay: at most kWrittenAtOnce, int64, on any device.
void write(std::span<const std::int64_t> values, const Tensor& to, const Stream& stream);
inline constexpr std::size_t kWrittenAtOnce = 8;
/// Every byte of x becomes 0.
void clear(const Tensor& x, const Stream& stream);
/// Every element of x, fp32, bf16 or int32, becomes `value`.
void fill(const Tensor& x, float value, const Stream& stream);
/// to = from, element by element, between fp32 and bf16 (to the nearest, ties to even); as many elements, one device.
void cast(const Tensor& from, const Tensor& to, const Stream& stream);

namespace cuda {

/// What the verbs above do on a CUDA stream, arguments checked.
void copy(const Tensor& from, const Tensor& to, const Stream& stream);
void write(std::span<const std::int64_t> values, const Tensor& to, const Stream& stream);
void clear(const Tensor& x, const Stream& stream);
void fill(const Tensor& x, float value, const Stream& stream);
void cast(const Tensor& from, const Tensor& to, const Stream& stream);

}  // namespace cuda
}  // namespace coe
