#include "kernels/routing/router_product.h"

#include "tests/kernels/memory/on_device.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

constexpr std::int64_t kExperts[] = {1, 5, 8, 63, 64, 129}, kTokens[] = {0, 1, 700};

/// Rows of packs of 16 bytes, and others.
struct Sizes {
  std::int64_t tokens, experts, hidden;
};
std::vector<Sizes> sizes() {
  std::vector<Sizes> all = {{67, 9, 20}, {67, 64, 33}};
  for (const std::int64_t tokens : kTokens) {
    for (const std::int64_t experts : kExperts) all.push_back({tokens, experts, 40});
  }
  return all;
}
std::string text_of(const Sizes& s) {
  return std::to_string(s.tokens) + " x " + std::to_string(s.experts) + " x " + std::to_string(s.hidden);
}

/// a^T if asked, times b, plus out, in double precision.
Floats sum_of(const Floats& a, bool transposed, const Floats& b, bool b_transposed, const Floats& added) {
  const std::int64_t rows = added.tensor().extent(0), columns = added.tensor().extent(1);
  const std::int64_t inner = a.tensor().extent(transposed ? 0 : 1);
  Floats out(added.tensor().shape());
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = added[i * columns + j];
      for (std::int64_t k = 0; k < inner; ++k) {
        sum += static_cast<double>(a[transposed ? k * rows + i : i * inner + k]) *
               b[b_transposed ? j * inner + k : k * columns + j];
      }
      out[i * columns + j] = static_cast<float>(sum);
    }
  }
  return out;
}

class RouterProductCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  void SetUp() override {
    OnCuda::SetUp();
    if (!HasFatalFailure() && !IsSkipped()) arena_ = poisoned_arena(1 << 22);
  }
  DType dtype() const { return GetParam(); }
  /// As tokens are.
  Floats tokens(Shape shape, unsigned seed) const { return rounded(normal_tensor(shape, seed), dtype()); }
  /// What run() makes of out, the same bits twice.
  template <class Run>
  Floats twice(const Tensor& out, const Run& run) {
    const Tensor before = room(out.dtype(), out.shape());
    copy(out, before, stream_);
    run();
    const Floats first = get<float>(out);
    copy(before, out, stream_);
    run();
    Floats second = get<float>(out);
    EXPECT_EQ(first.values(), second.values());
    return second;
  }

  Arena arena_;
};

TEST_P(RouterProductCuda, LogitsAreInFp32) {
  for (const Sizes& s : sizes()) {
    const Floats x = tokens({s.tokens, s.hidden}, 1), w = normal_tensor({s.experts, s.hidden}, 2);
    const Tensor logits = room(DType::kF32, {s.tokens, s.experts}), there = put(x, dtype()), weight = put(w);
    const Floats got =
        twice(logits, [&] { router_logits(there, ready_weight(weight, arena_), logits, arena_, stream_); });
    EXPECT_LE(error_of(got, sum_of(x, false, w, true, Floats({s.tokens, s.experts}))), 1e-5) << text_of(s);
  }
}

TEST_P(RouterProductCuda, InputGradientIsRoundedOnceAndAddedWhereAsked) {
  for (const Sizes& s : sizes()) {
    const Floats dlogits = normal_tensor({s.tokens, s.experts}, 3), w = normal_tensor({s.experts, s.hidden}, 4),
                 before = tokens({s.tokens, s.hidden}, 5);
    const Tensor upstream = put(dlogits), weight = put(w);
    for (const float beta : {0.0F, 1.0F}) {
      const Tensor dx = beta == 0 ? room(dtype(), before.tensor().shape()) : put(before, dtype());
      const Floats added({s.tokens, s.hidden}, beta == 0 ? std::vector<float>{} : before.values()),
          wanted = sum_of(dlogits, false, w, false, added);
      const Floats got = twice(dx, [&] { router_input_gradient(upstream, weight, beta, dx, arena_, stream_); });
      EXPECT_LE(error_of(got, wanted), dtype() == DType::kBF16 ? 0x1p-8 : 1e-5) << text_of(s);
    }
  }
}

TEST_P(RouterProductCuda, InputGradientTakesWhatRoundingOfEitherLoses) {
  // 1 + 2^-10 rounds to 1: of the two terms, rounded, nothing would be left.
  const Floats dlogits({1, 2}, {1 + 0x1p-10F, -1}), w({2, 8}), dx({1, 8});
  for (std::int64_t d = 0; d < 8; ++d) {
    w[d] = 1;
    w[8 + d] = 1 + 0x1p-12F;
  }
  const Tensor there = room(dtype(), {1, 8});
  router_input_gradient(put(dlogits), put(w), 0, there, arena_, stream_);
  for (const float got : get<float>(there).values()) EXPECT_NEAR(got, 0x1p-10 - 0x1p-12, 0x1p-18);
}

TEST_P(RouterProductCuda, WeightGradientIsInFp32AndAdded) {
  for (const Sizes& s : sizes()) {
    const Floats dlogits = normal_tensor({s.tokens, s.experts}, 6), x = tokens({s.tokens, s.hidden}, 7),
                 before = normal_tensor({s.experts, s.hidden}, 8);
    const Tensor upstream = put(dlogits), there = put(x, dtype()), dw = put(before);
    const Floats got = twice(dw, [&] { router_weight_gradient(upstream, there, dw, arena_, stream_); });
    EXPECT_LE(error_of(got, sum_of(dlogits, true, x, false, before)), 1e-5) << text_of(s);
  }
}

TEST_P(RouterProductCuda, TakesMemoryThatBeginsAnywhere) {
  const Sizes s{67, 9, 40};
  const Floats x = tokens({s.tokens, s.hidden}, 9), dlogits = normal_tensor({s.tokens, s.experts}, 10),
               w = normal_tensor({s.experts, s.hidden}, 11), before = normal_tensor({s.experts, s.hidden}, 12);
  const auto apart = [&](const Floats& numbers) {
    const std::int64_t n = numbers.tensor().elements();
    const Tensor place = room(DType::kF32, {n + 1}).rows(1, n).reshaped(numbers.tensor().shape());
    copy(put(numbers), place, stream_);
    return place;
  };
  const Tensor there = put(x, dtype()), weight = apart(w), dw = apart(before), upstream = apart(dlogits),
               logits = apart(dlogits);
  router_logits(there, ready_weight(weight, arena_), logits, arena_, stream_);
  EXPECT_LE(error_of(get<float>(logits), sum_of(x, false, w, true, Floats({s.tokens, s.experts}))), 1e-5);
  router_weight_gradient(upstream, there, dw, arena_, stream_);
  EXPECT_LE(error_of(get<float>(dw), sum_of(dlogits, true, x, false, before)), 1e-5);
}

TEST_P(RouterProductCuda, RefusesARoundedRouter) {
  const Tensor x = room(dtype(), {3, 8}), w = room(DType::kBF16, {5, 8}), logits = room(DType::kF32, {3, 5});
  EXPECT_EQ(thrown_code([&] { router_logits(x, {w, {}}, logits, arena_, stream_); }), ErrorCode::kInternal);
}

TEST_P(RouterProductCuda, HalvesRefuseWidthsThatDoNotFit) {
  const Tensor x = room(DType::kF32, {3, 9});
  const auto halves = [&](std::int64_t width) { return room(DType::kBF16, {3, 2, width}); };
  const auto sums = [&](std::int64_t width) { return room(DType::kF32, {3, 2, width}); };
  EXPECT_EQ(thrown_code([&] { cuda::split_halves(x, 1, halves(8), stream_); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { cuda::split_halves(x, 1, halves(12), stream_); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { cuda::add_halves(sums(8), 0, x, stream_); }), ErrorCode::kInternal);
}

INSTANTIATE_TEST_SUITE_P(Both, RouterProductCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
