#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <limits>
#include <thread>
#include <vector>

#include "kernels/memory/arena.h"
#include "kernels/memory/copy.h"
#include "tests/kernels/memory/owned_tensor.h"

namespace coe {

/// Tests of twins: skipped where there is no device, unless the environment's COE_TESTS_NEED_CUDA is set.
class OnCuda : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_devices() == 0 && std::getenv("COE_TESTS_NEED_CUDA") != nullptr) FAIL() << "there is no CUDA device";
    if (cuda_devices() == 0) GTEST_SKIP() << "needs a CUDA device, and there is none";
    stream_ = Stream(kCuda);
  }

  void wait() const {
    while (!stream_.done()) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  /// The numbers in device memory, floats as `dtype`.
  Tensor put(const Tensor& x, DType dtype) {
    const Tensor raw = room(x.dtype(), x.shape());
    copy(x, raw, stream_);
    wait();
    if (x.dtype() == dtype) return raw;
    const Tensor narrow = room(dtype, x.shape());
    cast(raw, narrow, stream_);
    return narrow;
  }
  Tensor put(const Tensor& x) { return put(x, x.dtype()); }
  /// Device memory in which every float is NaN.
  Tensor room(DType dtype, Shape shape) {
    const auto elements = static_cast<std::size_t>(shape.elements());
    buffers_.emplace_back(elements * size_of(dtype), kCuda);
    const Tensor x(buffers_.back().data(), dtype, shape, kCuda);
    if (dtype == DType::kF32 || dtype == DType::kBF16) fill(x, std::numeric_limits<float>::quiet_NaN(), stream_);
    return x;
  }
  /// An arena of so many bytes, in which every float is NaN until something is written.
  Arena poisoned_arena(std::int64_t bytes) {
    Arena arena(static_cast<std::size_t>(bytes), kCuda);
    fill(arena.make<float>({bytes / 4}), std::numeric_limits<float>::quiet_NaN(), stream_);
    arena.reset();
    return arena;
  }
  /// What stands in device memory, as T.
  template <class T>
  Owned<T> get(const Tensor& x) {
    Tensor wide = x;
    if (x.dtype() == DType::kBF16) cast(x, wide = room(DType::kF32, x.shape()), stream_);
    Owned<T> host(x.shape());
    copy(wide, host, stream_);
    wait();
    return host;
  }

  Stream stream_;

 private:
  std::vector<Buffer> buffers_;
};

/// 1e-5 for fp32 and 1e-2 for bf16, of the largest number.
inline double tolerance(DType dtype) { return dtype == DType::kF32 ? 1e-5 : 1e-2; }

/// x rounded as the device holds it.
inline Floats rounded(const Floats& x, DType dtype) {
  Floats out(x.tensor().shape(), x.values());
  if (dtype != DType::kBF16) return out;
  for (float& value : out) value = to_float(to_bf16(value));
  return out;
}

/// max |got - wanted| / max |wanted| over the first `count` elements; infinite where a number is NaN.
inline double error_of(const Floats& got, const Floats& wanted, std::int64_t count) {
  double worst = 0, largest = 1e-30;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!(std::abs(got[i]) < std::numeric_limits<float>::infinity())) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - wanted[i]));
    largest = std::max(largest, std::abs(static_cast<double>(wanted[i])));
  }
  return worst / largest;
}
inline double error_of(const Floats& got, const Floats& wanted) {
  return error_of(got, wanted, wanted.tensor().elements());
}

}  // namespace coe
