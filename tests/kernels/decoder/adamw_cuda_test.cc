#include "kernels/decoder/adamw.h"

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

class AdamWCuda : public OnCuda {
 protected:
  /// The same memory, its first element `offset` floats after where 16 bytes begin.
  Tensor put_at(const Floats& x, std::int64_t offset) {
    const std::int64_t n = x.tensor().elements();
    const Floats shifted({n + offset});
    std::copy(x.begin(), x.end(), shifted.begin() + offset);
    return put(shifted).rows(offset, n);
  }
  void expect_the_cpus(const std::vector<std::int64_t>& sizes, std::int64_t offset, bool narrow);
};

void AdamWCuda::expect_the_cpus(const std::vector<std::int64_t>& sizes, std::int64_t offset, bool narrow) {
  const auto tensors = static_cast<std::int64_t>(sizes.size());
  const Owned<std::int64_t> offsets({tensors + 1});
  const Owned<std::uint8_t> decayed({tensors});
  for (std::int64_t i = 0; i < tensors; ++i) {
    offsets[i + 1] = offsets[i] + sizes[static_cast<std::size_t>(i)];
    decayed[i] = i % 3 != 1 ? 1 : 0;
  }
  const std::int64_t n = offsets[tensors];
  const Floats weight = normal_tensor({n}, 1), m = normal_tensor({n}, 2, 0.1F), v({n});
  for (std::int64_t i = 0; i < n; ++i) v[i] = m[i] * m[i];
  const Owned<Bf16> rounded({narrow ? n : 0});
  const Tensor w_there = put_at(weight, offset), m_there = put_at(m, offset), v_there = put_at(v, offset);
  const Tensor offsets_there = put(offsets), decayed_there = put(decayed);
  const Tensor rounded_there = room(DType::kBF16, {narrow ? n : 0});
  AdamW options{.learning_rate = 0.01F, .weight_decay = 0.1F, .gradient_scale = 0.5F};
  for (options.step = 1; options.step <= 2; ++options.step) {
    const Floats gradient = normal_tensor({n}, static_cast<unsigned>(10 + options.step));
    adamw(options, offsets, decayed, gradient, weight, m, v, rounded, host_stream());
    adamw(options, offsets_there, decayed_there, put_at(gradient, offset), w_there, m_there, v_there, rounded_there,
          stream_);
  }
  EXPECT_TRUE(same_bits(get<float>(w_there), weight));
  EXPECT_TRUE(same_bits(get<float>(m_there), m));
  EXPECT_TRUE(same_bits(get<float>(v_there), v));
  const Floats got = get<float>(rounded_there);
  for (std::int64_t i = 0; narrow && i < n; ++i) EXPECT_EQ(to_bf16(got[i]), rounded[i]);
}

TEST_F(AdamWCuda, HasTheCpusBitsWhereverTensorsBegin) {
  for (const std::int64_t offset : {0, 1}) {
    expect_the_cpus({}, offset, true);
    expect_the_cpus({1}, offset, false);
    expect_the_cpus({3, 0, 1, 0, 0, 6, 2}, offset, true);
    expect_the_cpus({5000, 7, 4096, 1, 1025}, offset, true);
  }
}

TEST_F(AdamWCuda, FindsItsWayAmongManyTensors) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < 3000; ++i) sizes.push_back(i % 7);
  expect_the_cpus(sizes, 0, true);
}

TEST_F(AdamWCuda, SquaresAreSummedInOneOrder) {
  for (const std::int64_t n : {0, 5, 300001}) {
    const Floats x = normal_tensor({n}, 1);
    const double wanted = sum_of_squares(x);
    double first = -1;
    for (const std::int64_t offset : {0, 0, 1}) {
      Arena arena = poisoned_arena(1 << 16);
      const Tensor sum = put(Owned<double>({1}, {7.0}));
      sum_of_squares(put_at(x, offset), sum, arena, stream_);
      const double got = get<double>(sum)[0];
      EXPECT_NEAR(got, wanted, 1e-12 * (1 + wanted));
      if (first < 0) first = got;
      EXPECT_EQ(got, first);
    }
  }
}

}  // namespace
}  // namespace coe
