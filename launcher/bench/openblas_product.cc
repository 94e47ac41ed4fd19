#include <cblas.h>

#include <mutex>

#include "launcher/bench/product_library.h"

namespace coe {
namespace {

void product(const Tensor& x, const Tensor& w, const Tensor& y) {
  static std::mutex openblas_is_not_thread_safe;
  const std::scoped_lock lock(openblas_is_not_thread_safe);
  const auto size = [](std::int64_t extent) { return static_cast<blasint>(extent); };
  const blasint inner = size(x.extent(1)), columns = size(y.extent(1));
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(x.extent(0)), columns, inner, 1.0F, x.data<float>(), inner,
              w.data<float>(), inner, 0.0F, y.data<float>(), columns);
}

}  // namespace

ProductLibrary openblas() { return {"openblas", product}; }

}  // namespace coe
