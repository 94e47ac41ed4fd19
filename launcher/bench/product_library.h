#pragma once

#include <string_view>

#include "kernels/memory/tensor.h"

namespace coe {

/// Another library's matrix product, to be compared with.
struct ProductLibrary {
  std::string_view name;
  void (*product)(const Tensor& x, const Tensor& w, const Tensor& y);  ///< y = x W^T; nullptr in a build without it
};

/// On the calling thread alone.
ProductLibrary onednn();
/// Debian builds it without locks: one product at a time in a process.
ProductLibrary openblas();

}  // namespace coe
