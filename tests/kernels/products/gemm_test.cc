#include "kernels/products/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/products/naive_product.h"

namespace coe {
namespace {

constexpr Transpose kNo = Transpose::kNo, kYes = Transpose::kYes;

struct Sizes {
  std::int64_t m, n, k;
};

Shape stored(std::int64_t rows, std::int64_t columns, Transpose transpose) {
  return transpose == kYes ? Shape{columns, rows} : Shape{rows, columns};
}

Matrix whole(const Tensor& x) { return {x.data<float>(), x.extent(0), x.extent(1), x.extent(1)}; }

void gemm_of(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, float beta, const Tensor& out) {
  gemm(whole(a), ta, whole(b), tb, beta, whole(out));
}

TEST(Gemm, EqualsTheNaiveProductForEveryTransposeAndBeta) {
  const Sizes all[] = {{1, 1, 1},      {7, 5, 3},      {1, 64, 128},   {33, 17, 70}, {64, 88, 130},
                       {29, 500, 390}, {16, 352, 256}, {12, 200, 385}, {32, 49, 5}};
  for (const auto& [m, n, k] : all) {
    for (const Transpose ta : {kNo, kYes}) {
      for (const Transpose tb : {kNo, kYes}) {
        for (const float beta : {0.0F, 1.0F}) {
          const Floats a = normal_tensor(stored(m, k, ta), 1), b = normal_tensor(stored(k, n, tb), 2);
          const Floats out = normal_tensor({m, n}, 3);
          const auto wanted = naive(a, ta, b, tb, beta, out);
          gemm_of(a, ta, b, tb, beta, out);
          EXPECT_LT(worst_error(out, wanted), 2e-5) << m << ' ' << n << ' ' << k;
        }
      }
    }
  }
}

TEST(Gemm, BetaZeroForgetsNaN) {
  const Floats a = normal_tensor({3, 4}, 1), b = normal_tensor({4, 2}, 2);
  const Floats out({3, 2}, std::vector<float>(6, NAN));
  gemm_of(a, kNo, b, kNo, 0.0F, out);
  EXPECT_LT(worst_error(out, naive(a, kNo, b, kNo, 0, out)), 1e-6);
}

TEST(Gemm, AnEmptySumIsZeroOrWhatWasThere) {
  const Floats a({3, 0}), b({0, 2}), out({3, 2}, {1, 2, 3, 4, 5, 6});
  gemm_of(a, kNo, b, kNo, 1.0F, out);
  EXPECT_EQ(out.values(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  gemm_of(a, kNo, b, kNo, 0.0F, out);
  EXPECT_EQ(out.values(), std::vector<float>(6, 0.0F));
}

TEST(Gemm, BitsDoNotDependOnAddresses) {
  for (const auto& [m, n, k] : {Sizes{7, 33, 19}, {256, 176, 128}, {3, 128, 88}, {64, 64, 32}}) {
    for (const Transpose t : {kNo, kYes}) {
      const Shape as = stored(m, k, t), bs = stored(k, n, t);
      const Floats a = normal_tensor(as, 1), b = normal_tensor(bs, 2), out({m, n});
      gemm_of(a, t, b, t, 0.0F, out);
      for (const std::size_t offset : {1U, 2U, 3U, 5U, 8U, 13U}) {
        const Floats moved_a(as, a.values(), offset), moved_b(bs, b.values(), 2 * offset + 1);
        const Floats moved({m, n}, {}, offset + 3);
        gemm_of(moved_a, t, moved_b, t, 0.0F, moved);
        EXPECT_TRUE(same_bits(moved, out)) << m << ' ' << n << ' ' << k << " at " << offset;
      }
    }
  }
}

TEST(Gemm, BitsOfARowDoNotDependOnTheOtherRows) {
  for (const std::int64_t columns : {1, 8, 15, 17, 33}) {
    const Floats a = normal_tensor({40, 400}, 1), b = normal_tensor({columns, 400}, 2), all({40, columns});
    gemm_of(a, kNo, b, kYes, 0.0F, all);
    for (std::int64_t rows = 1; rows < 40; ++rows) {
      const Floats some({rows, columns});
      gemm_of(a.tensor().rows(40 - rows, rows), kNo, b, kYes, 0.0F, some);
      EXPECT_TRUE(same_bits(some, all.tensor().rows(40 - rows, rows))) << rows << " x " << columns;
    }
  }
}

TEST(PackedMatrix, GivesTheSameBits) {
  for (const auto& [m, n, k] : {Sizes{1, 1, 1}, {16, 352, 256}, {5, 500, 390}, {13, 33, 800}, {0, 4, 4}, {3, 5, 0}}) {
    for (const Transpose tb : {kNo, kYes}) {
      const Floats a = normal_tensor({m, k}, 1), b = normal_tensor(stored(k, n, tb), 2);
      const Floats once = normal_tensor({m, n}, 3), packed = normal_tensor({m, n}, 3);
      std::vector<float> memory(static_cast<std::size_t>(packed_size(k, n)));
      const PackedMatrix matrix = pack_matrix(whole(b), tb, memory.data());
      for (const float beta : {0.0F, 1.0F}) {
        gemm_of(a, kNo, b, tb, beta, once);
        gemm(whole(a), kNo, matrix, beta, whole(packed));
        EXPECT_TRUE(same_bits(packed, once)) << m << ' ' << n << ' ' << k;
      }
    }
  }
}

TEST(Gemm, ReadsAndWritesInsideItsStridesOnly) {
  // a is [2, 2] in rows of 3, b [2, 2] in rows of 4; out [2, 2] in rows of 3 between columns that stay.
  const Floats a({6}, {1, 2, 99, 3, 4, 99}), b({8}, {5, 6, 99, 99, 7, 8, 99, 99}), out({6}, {9, 9, 9, 9, 9, 9});
  gemm({a.begin(), 2, 2, 3}, kNo, {b.begin(), 2, 2, 4}, kNo, 0.0F, {out.begin(), 2, 2, 3});
  EXPECT_EQ(out.values(), (std::vector<float>{19, 22, 9, 43, 50, 9}));
  gemm({a.begin(), 2, 2, 3}, kYes, {b.begin(), 2, 2, 4}, kYes, 1.0F, {out.begin(), 2, 2, 3});
  EXPECT_EQ(out.values(), (std::vector<float>{19 + 23, 22 + 31, 9, 43 + 34, 50 + 46, 9}));
}

TEST(Gemm, ClearsInsideItsStrideWhereTheSumIsEmpty) {
  const Floats out({6}, {9, 9, 9, 9, 9, 9});
  gemm({nullptr, 2, 0, 1}, kNo, {nullptr, 0, 2, 2}, kNo, 0.0F, {out.begin(), 2, 2, 3});
  EXPECT_EQ(out.values(), (std::vector<float>{0, 0, 9, 0, 0, 9}));
}

}  // namespace
}  // namespace coe
