// Stands in for cublas.cu where cuBLAS or CUDA is missing.

#include "kernels/memory/error.h"
#include "kernels/products/cublas.h"

namespace coe::cuda {
namespace {

[[noreturn]] void no_cublas() { fail(ErrorCode::kBadInput, "cublas: this build has no cuBLAS"); }

}  // namespace

bool Cublas::linked() { return false; }

Cublas::Cublas(Device /*device*/) { no_cublas(); }
Cublas::~Cublas() = default;

void Cublas::linear(const Tensor& /*x*/, const Tensor& /*w*/, const Tensor& /*y*/, const Stream& /*stream*/) const {
  no_cublas();
}

}  // namespace coe::cuda
