#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

#include "tests/kernels/owned_tensor.h"
#include "tests/kernels/thrown_code.h"

namespace coe {
namespace {

constexpr Transpose kNo = Transpose::kNo, kYes = Transpose::kYes;

struct Sizes {
  std::int64_t m, n, k;
};

Shape stored(std::int64_t rows, std::int64_t columns, Transpose transpose) {
  return transpose == kYes ? Shape{columns, rows} : Shape{rows, columns};
}

std::vector<double> naive(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, double beta, const Tensor& c) {
  const std::int64_t m = c.extent(0), n = c.extent(1), k = a.extent(ta == kYes ? 0 : 1);
  const auto at = [](const Tensor& x, Transpose t, std::int64_t i, std::int64_t j) {
    return static_cast<double>(x.data<float>()[t == kYes ? j * x.extent(1) + i : i * x.extent(1) + j]);
  };
  std::vector<double> out;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = beta == 0 ? 0 : beta * at(c, kNo, i, j);
      for (std::int64_t l = 0; l < k; ++l) sum += at(a, ta, i, l) * at(b, tb, l, j);
      out.push_back(sum);
    }
  }
  return out;
}

TEST(Gemm, EqualsTheNaiveProductForEveryTransposeAndBeta) {
  for (const auto& [m, n, k] : {Sizes{1, 1, 1}, {7, 5, 3}, {1, 64, 128}, {33, 17, 70}, {64, 88, 130}}) {
    for (const Transpose ta : {kNo, kYes}) {
      for (const Transpose tb : {kNo, kYes}) {
        for (const float beta : {0.0F, 1.0F}) {
          const Floats a = normal_tensor(stored(m, k, ta), 1), b = normal_tensor(stored(k, n, tb), 2);
          const Floats out = normal_tensor({m, n}, 3);
          const auto wanted = naive(a, ta, b, tb, beta, out);
          gemm(a, ta, b, tb, beta, out);
          EXPECT_LT(worst_error(out, wanted), 2e-5) << m << ' ' << n << ' ' << k;
        }
      }
    }
  }
}

TEST(Gemm, BetaZeroForgetsNaN) {
  const Floats a = normal_tensor({3, 4}, 1), b = normal_tensor({4, 2}, 2);
  const Floats out({3, 2}, std::vector<float>(6, NAN));
  gemm(a, kNo, b, kNo, 0.0F, out);
  EXPECT_LT(worst_error(out, naive(a, kNo, b, kNo, 0, out)), 1e-6);
}

TEST(Gemm, AnEmptySumIsZeroOrWhatWasThere) {
  const Floats a({3, 0}), b({0, 2}), out({3, 2}, {1, 2, 3, 4, 5, 6});
  gemm(a, kNo, b, kNo, 1.0F, out);
  EXPECT_EQ(out.values(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  gemm(a, kNo, b, kNo, 0.0F, out);
  EXPECT_EQ(out.values(), std::vector<float>(6, 0.0F));
}

TEST(Gemm, NoRowsOrNoColumnsIsNoWork) {
  const Floats x({0, 4}), w = normal_tensor({2, 4}, 1), y({0, 2}), dw({2, 4});
  linear(x, w, y);
  linear_weight_gradient(y, x, dw);
  EXPECT_EQ(dw.values(), std::vector<float>(8, 0.0F));
  gemm(w, kNo, Floats({4, 0}), kNo, 0.0F, Floats({2, 0}));
}

TEST(Gemm, LinearAndItsGradientsAreTheProductsOfALayer) {
  const Floats x = normal_tensor({5, 3}, 1), w = normal_tensor({4, 3}, 2), dy = normal_tensor({5, 4}, 3);
  const Floats y({5, 4}), dx = normal_tensor({5, 3}, 4), dw = normal_tensor({4, 3}, 5);
  const auto wanted_y = naive(x, kNo, w, kYes, 0, y), wanted_dx = naive(dy, kNo, w, kNo, 1, dx);
  const auto wanted_dw = naive(dy, kYes, x, kNo, 1, dw);
  linear(x, w, y);
  linear_input_gradient(dy, w, 1.0F, dx);
  linear_weight_gradient(dy, x, dw);
  EXPECT_LT(worst_error(y, wanted_y), 1e-6);
  EXPECT_LT(worst_error(dx, wanted_dx), 1e-6);
  EXPECT_LT(worst_error(dw, wanted_dw), 1e-6);
}

TEST(Gemm, BitsDoNotDependOnAddresses) {
  for (const auto& [m, n, k] : {Sizes{7, 33, 19}, {256, 176, 128}, {3, 128, 88}, {64, 64, 32}}) {
    for (const Transpose t : {kNo, kYes}) {
      const Shape as = stored(m, k, t), bs = stored(k, n, t);
      const Floats a = normal_tensor(as, 1), b = normal_tensor(bs, 2), out({m, n});
      gemm(a, t, b, t, 0.0F, out);
      for (const std::size_t offset : {1U, 2U, 3U, 5U, 8U, 13U}) {
        const Floats moved_a(as, a.values(), offset), moved_b(bs, b.values(), 2 * offset + 1);
        const Floats moved({m, n}, {}, offset + 3);
        gemm(moved_a, t, moved_b, t, 0.0F, moved);
        EXPECT_TRUE(same_bits(moved, out)) << m << ' ' << n << ' ' << k << " at " << offset;
      }
    }
  }
}

TEST(Gemm, BitsDoNotDependOnOtherThreads) {
  constexpr std::array<Sizes, 4> kSizes = {Sizes{128, 128, 176}, {64, 176, 128}, {7, 33, 19}, {100, 100, 300}};
  std::vector<Floats> x, w, wanted;
  for (const auto& [m, n, k] : kSizes) {
    x.push_back(normal_tensor({m, k}, 1));
    w.push_back(normal_tensor({n, k}, 2));
    wanted.emplace_back(Shape{m, n});
    linear(x.back(), w.back(), wanted.back());
  }
  std::array<int, 4> wrong{};
  std::vector<std::jthread> threads;
  for (std::size_t id = 0; id < wrong.size(); ++id) {
    threads.emplace_back([&, id] {
      for (std::size_t turn = 0; turn < 500; ++turn) {
        const std::size_t i = (turn + id) % kSizes.size();
        const Floats y(wanted[i].tensor().shape());
        linear(x[i], w[i], y);
        wrong[id] += same_bits(y, wanted[i]) ? 0 : 1;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, (std::array<int, 4>{}));
}

TEST(Gemm, RefusesWhatDoesNotFit) {
  const Floats a({3, 4}), b({4, 2}), out({3, 2});
  EXPECT_EQ(thrown_code([&] { gemm(a, kYes, b, kNo, 0.0F, out); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { gemm(a, kNo, b, kNo, 0.0F, Floats({2, 3})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { gemm(a, kNo, b, kNo, 0.5F, out); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { gemm(a, kNo, Ints({4, 2}), kNo, 0.0F, out); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { gemm(a, kNo, Floats({8}), kNo, 0.0F, out); }), ErrorCode::kInternal);
}

TEST(TimeGemm, EveryLibraryComputesTheLinearProduct) {
  const Floats x = normal_tensor({9, 20}, 1), w = normal_tensor({6, 20}, 2);
  ASSERT_FALSE(gemm_libraries().empty());
  for (const std::string_view library : gemm_libraries()) {
    const Floats y({9, 6});
    EXPECT_GT(time_gemm(library, x, w, y), 0.0) << library;
    EXPECT_LT(worst_error(y, naive(x, kNo, w, kYes, 0, y)), 1e-5) << library;
  }
  EXPECT_EQ(thrown_code([&] { time_gemm("none", x, w, Floats({9, 6})); }), ErrorCode::kBadInput);
}

}  // namespace
}  // namespace coe
