#include "kernels/products/cublas.h"

#include "kernels/products/linear.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

TEST(Cublas, SaysWhereItIsNotLinked) {
  if (cuda::Cublas::linked()) GTEST_SKIP() << "this build has cuBLAS";
  EXPECT_EQ(thrown_code([] { cuda::Cublas cublas(kCuda); }), ErrorCode::kBadInput);
}

class CublasCuda : public OnCuda, public testing::WithParamInterface<DType> {};

TEST_P(CublasCuda, ProductIsTheCpus) {
  if (!cuda::Cublas::linked()) GTEST_SKIP() << "this build has no cuBLAS";
  const std::int64_t rows = 67, n = 24, k = 48;
  const Floats x = rounded(normal_tensor({rows, k}, 1), GetParam()), w = rounded(normal_tensor({n, k}, 2), GetParam());
  const Floats wanted({rows, n});
  linear(x, w, wanted);
  const Tensor y = room(GetParam(), {rows, n});
  const cuda::Cublas cublas(kCuda);
  cublas.linear(put(x, GetParam()), put(w, GetParam()), y, stream_);
  EXPECT_LE(error_of(get<float>(y), wanted), tolerance(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Both, CublasCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
