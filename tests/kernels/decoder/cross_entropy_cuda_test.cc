#include "kernels/decoder/cross_entropy.h"

#include <array>

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr float kScale = 0.25F;
constexpr std::array<std::int64_t, 2> kSizes[] = {{0, 8},    {1, 1},    {70, 256}, {9, 37},   {33, 1000},
                                                  {5, 1024}, {3, 1028}, {4, 2051}, {2, 9001}, {3, 9000}};

/// Every fifth label counts nothing.
Ints labels_of(std::int64_t rows, std::int64_t vocab) {
  Ints labels({rows});
  for (std::int64_t row = 0; row < rows; ++row) {
    labels[row] = row % 5 == 1 ? -1 : static_cast<std::int32_t>((row * 31 + vocab - 1) % vocab);
  }
  return labels;
}

class CrossEntropyCuda : public OnCuda {
 protected:
  /// The loss that comes of 1 and what `add` adds.
  template <class Add>
  double loss_of(const Add& add) {
    const Tensor loss = put(Owned<double>({1}, {1.0}));
    Arena arena = poisoned_arena(1 << 16);
    add(loss, arena);
    return get<double>(loss)[0] - 1.0;
  }
};

class CrossEntropyCudaOf : public CrossEntropyCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }
};

TEST_P(CrossEntropyCudaOf, IsTheCpus) {
  for (const auto& [rows, vocab] : kSizes) {
    const Floats logits = normal_tensor({rows, vocab}, 1, 3.0F), dlogits({rows, vocab});
    const Ints labels = labels_of(rows, vocab);
    const double wanted = cross_entropy_backward(logits, labels, kScale, dlogits);
    const Tensor in = put(logits), chosen = put(labels), out = room(dtype(), {rows, vocab});
    const auto near = [&, &rows = rows, &vocab = vocab](double loss) {
      EXPECT_NEAR(loss, wanted, 1e-5 * (1 + std::abs(wanted))) << rows << " x " << vocab;
    };
    near(loss_of([&](const Tensor& loss, Arena& arena) { cross_entropy(in, chosen, loss, arena, stream_); }));
    near(loss_of([&](const Tensor& loss, Arena& arena) {
      cross_entropy_backward(in, chosen, kScale, out, loss, arena, stream_);
    }));
    const Floats got = get<float>(out);
    EXPECT_LE(error_of(got, dlogits), tolerance(dtype())) << rows << " x " << vocab;
    for (std::int64_t i = vocab; i < 2 * vocab && rows > 1; ++i) EXPECT_EQ(got[i], 0.0F);
  }
}

TEST_F(CrossEntropyCuda, BitsStayAndMayTakeTheLogitsPlace) {
  for (const auto& [rows, vocab] : kSizes) {
    const Floats logits = normal_tensor({rows, vocab}, 1, 3.0F);
    const Tensor in = put(logits), chosen = put(labels_of(rows, vocab)), out = room(DType::kF32, {rows, vocab});
    const auto backward = [&](const Tensor& to) {
      return loss_of([&](const Tensor& loss, Arena& arena) {
        cross_entropy_backward(in, chosen, kScale, to, loss, arena, stream_);
      });
    };
    const double first = backward(out);
    EXPECT_EQ(backward(in), first);
    EXPECT_TRUE(same_bits(get<float>(in), get<float>(out))) << rows << " x " << vocab;
  }
}

TEST_P(CrossEntropyCudaOf, StandsLargeAndForbiddenLogits) {
  for (const std::int64_t vocab : {8, 2000}) {
    const Floats logits({3, vocab}, std::vector<float>(static_cast<std::size_t>(3 * vocab), -INFINITY));
    for (const std::int64_t i : {std::int64_t{0}, vocab + 1, 2 * vocab + 2}) logits[i] = 10000;
    for (const std::int64_t i : {vocab - 1, 2 * vocab - 2, 3 * vocab - 3}) logits[i] = 10000;
    const Ints labels({3}, {0, 1, 2});
    const Tensor in = put(logits), chosen = put(labels), out = room(dtype(), {3, vocab});
    EXPECT_NEAR(loss_of([&](const Tensor& loss, Arena& arena) {
                  cross_entropy_backward(in, chosen, 1.0F, out, loss, arena, stream_);
                }),
                3 * std::log(2.0), 1e-3);
    const Floats got = get<float>(out);
    for (std::int64_t i = 0; i < 3 * vocab; ++i) {
      const float wanted = i == 0 || i == vocab + 1 || i == 2 * vocab + 2 ? -0.5F : logits[i] > 0 ? 0.5F : 0.0F;
      EXPECT_EQ(got[i], wanted) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, CrossEntropyCudaOf, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
