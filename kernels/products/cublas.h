#pragma once

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe::cuda {

/// NVIDIA's library of products, which ours are compared with; nothing that trains uses it. Owns the library's handle,
/// and with it memory on the device.
class Cublas {
 public:
  /// False in a build without it: the constructor then throws kBadInput.
  static bool linked();
  explicit Cublas(Device device);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  /// y = x w^T, x [M, K], w [N, K], y [M, N], all fp32 or all bf16; sums are in fp32, without TF32. Throws kSystem
  /// where the library refuses.
  void linear(const Tensor& x, const Tensor& w, const Tensor& y, const Stream& stream) const;

 private:
  [[maybe_unused]] void* handle_ = nullptr;  // by no_cublas.cc
};

}  // namespace coe::cuda
