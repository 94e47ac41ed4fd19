#pragma once

#include <vector>

#include "kernels/memory/tensor.h"
#include "kernels/products/gemm.h"

namespace coe {

/// op(a) op(b) + beta c in double, one sum after another.
inline std::vector<double> naive(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, double beta,
                                 const Tensor& c) {
  const std::int64_t m = c.extent(0), n = c.extent(1), k = a.extent(ta == Transpose::kYes ? 0 : 1);
  const auto at = [](const Tensor& x, Transpose t, std::int64_t i, std::int64_t j) {
    return static_cast<double>(x.data<float>()[t == Transpose::kYes ? j * x.extent(1) + i : i * x.extent(1) + j]);
  };
  std::vector<double> out;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = beta == 0 ? 0 : beta * at(c, Transpose::kNo, i, j);
      for (std::int64_t l = 0; l < k; ++l) sum += at(a, ta, i, l) * at(b, tb, l, j);
      out.push_back(sum);
    }
  }
  return out;
}

}  // namespace coe
