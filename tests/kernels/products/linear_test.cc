#include "kernels/products/linear.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <thread>
#include <vector>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/kernels/products/naive_product.h"

namespace coe {
namespace {

constexpr Transpose kNo = Transpose::kNo, kYes = Transpose::kYes;

struct Sizes {
  std::int64_t m, n, k;
};

TEST(Linear, AndItsGradientsAreTheProductsOfALayer) {
  for (const auto& [rows, outputs, inputs] :
       {Sizes{1, 1, 1}, {5, 4, 3}, {8, 17, 33}, {127, 16, 9}, {135, 70, 21}, {513, 9, 40}, {1037, 3, 16}}) {
    const Floats x = normal_tensor({rows, inputs}, 1), w = normal_tensor({outputs, inputs}, 2);
    const Floats dy = normal_tensor({rows, outputs}, 3), y({rows, outputs});
    const Floats dx = normal_tensor({rows, inputs}, 4), dw = normal_tensor({outputs, inputs}, 5);
    const auto wanted_y = naive(x, kNo, w, kYes, 0, y), wanted_dx = naive(dy, kNo, w, kNo, 1, dx);
    const auto wanted_dw = naive(dy, kYes, x, kNo, 1, dw);
    linear(x, w, y);
    linear_input_gradient(dy, w, 1.0F, dx);
    linear_weight_gradient(dy, x, dw);
    EXPECT_LT(worst_error(y, wanted_y), 1e-5) << rows;
    EXPECT_LT(worst_error(dx, wanted_dx), 1e-5) << rows;
    EXPECT_LT(worst_error(dw, wanted_dw), 5e-5) << rows;
  }
}

TEST(Linear, OfAPackedWeightHasTheSameBits) {
  const Floats x = normal_tensor({11, 40}, 1), w = normal_tensor({19, 40}, 2), y({11, 19}), packed({11, 19});
  Arena arena;
  linear(x, w, y);
  linear(x, pack_weight(w, arena), packed);
  EXPECT_EQ(packed.values(), y.values());
  const Floats narrow({11, 39});
  EXPECT_EQ(thrown_code([&] { linear(narrow, pack_weight(w, arena), packed); }), ErrorCode::kInternal);
}

TEST(Linear, AWeightsGradientHasTheSameBitsBlockByBlock) {
  const Floats dy = normal_tensor({70, 19}, 1), x = normal_tensor({70, 40}, 2), dw({19, 40}), blocks({19, 40});
  linear_weight_gradient(dy, x, dw);
  for (const std::int64_t row : {0, 7}) {
    for (const std::int64_t column : {0, 33}) {
      const MatrixBlock block{row, row == 0 ? 7 : 12, column, column == 0 ? 33 : 7};
      linear_weight_gradient(dy, x, block, blocks);
    }
  }
  EXPECT_EQ(blocks.values(), dw.values());
  EXPECT_EQ(thrown_code([&] { linear_weight_gradient(dy, x, {8, 12, 0, 1}, dw); }), ErrorCode::kInternal);
}

TEST(Linear, OverwritesNaN) {
  const Floats x = normal_tensor({11, 4}, 1), w = normal_tensor({2, 4}, 2), dy = normal_tensor({11, 2}, 3);
  const Floats y({11, 2}, std::vector<float>(22, NAN)), dx({11, 4}, std::vector<float>(44, NAN));
  linear(x, w, y);
  linear_input_gradient(dy, w, 0.0F, dx);
  EXPECT_LT(worst_error(y, naive(x, kNo, w, kYes, 0, y)), 1e-6);
  EXPECT_LT(worst_error(dx, naive(dy, kNo, w, kNo, 0, dx)), 1e-6);
}

TEST(Linear, NoRowsAreNoWork) {
  const Floats x({0, 4}), w = normal_tensor({2, 4}, 1), y({0, 2}), dw({2, 4});
  linear(x, w, y);
  linear_input_gradient(y, w, 0.0F, x);
  linear_weight_gradient(y, x, dw);
  EXPECT_EQ(dw.values(), std::vector<float>(8, 0.0F));
}

TEST(Linear, AnEmptySumIsZeroOrWhatWasThere) {
  const Floats x({3, 0}), w({2, 0}), y({3, 2}, {1, 2, 3, 4, 5, 6});
  linear(x, w, y);
  EXPECT_EQ(y.values(), std::vector<float>(6, 0.0F));
  const Floats dy({3, 0}), tall({0, 2}), dx({3, 2}, {1, 2, 3, 4, 5, 6});
  linear_input_gradient(dy, tall, 1.0F, dx);
  EXPECT_EQ(dx.values(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  linear_input_gradient(dy, tall, 0.0F, dx);
  EXPECT_EQ(dx.values(), std::vector<float>(6, 0.0F));
}

TEST(Linear, BitsDoNotDependOnAddresses) {
  for (const auto& [m, n, k] : {Sizes{7, 33, 19}, {256, 176, 128}, {131, 128, 88}, {64, 64, 32}}) {
    const Floats x = normal_tensor({m, k}, 1), w = normal_tensor({n, k}, 2), y({m, n}), dx({m, k}), dw({n, k});
    linear(x, w, y);
    linear_input_gradient(y, w, 0.0F, dx);
    linear_weight_gradient(y, x, dw);
    for (const std::size_t offset : {1U, 2U, 3U, 5U, 8U, 13U}) {
      const Floats moved_x({m, k}, x.values(), offset), moved_w({n, k}, w.values(), 2 * offset + 1);
      const Floats moved_y({m, n}, {}, offset + 3), moved_dx({m, k}, {}, offset + 2), moved_dw({n, k}, {}, offset + 4);
      linear(moved_x, moved_w, moved_y);
      linear_input_gradient(moved_y, moved_w, 0.0F, moved_dx);
      linear_weight_gradient(moved_y, moved_x, moved_dw);
      EXPECT_TRUE(same_bits(moved_y, y) && same_bits(moved_dx, dx) && same_bits(moved_dw, dw)) << m << " at " << offset;
    }
  }
}

TEST(Linear, BitsDoNotDependOnOtherThreads) {
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

TEST(Linear, RefusesWhatDoesNotFit) {
  const Floats x({3, 4}), w({2, 4}), y({3, 2});
  EXPECT_EQ(thrown_code([&] { linear(x, w, Floats({2, 3})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { linear(x, Floats({2, 3}), y); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { linear(x, w, Ints({3, 2})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { linear(Floats({4}), w, y); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { linear_input_gradient(y, w, 0.5F, x); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { linear_weight_gradient(x, y, w); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
