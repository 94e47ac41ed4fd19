#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

class CopyCuda : public OnCuda {};

TEST_F(CopyCuda, CastsAsTheCpuDoes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const std::int64_t n : {0, 1, 9, 1000, 70001}) {
    const Floats x = normal_tensor({n}, 1);
    const std::vector<float> special = {257, 259, -0.0F, kInfinity, -kInfinity, 3.4e38F, 1e-40F};
    for (std::size_t i = 0; i < special.size() && static_cast<std::int64_t>(i) < n; ++i) {
      x[static_cast<std::int64_t>(i)] = special[i];
    }
    const Owned<Bf16> wanted({n});
    cast(x, wanted, {});
    const Tensor narrow = room(DType::kBF16, {n});
    cast(put(x), narrow, stream_);
    const Owned<Bf16> got({n});
    copy(narrow, got, stream_);
    wait();
    EXPECT_TRUE(same_bits(got, wanted)) << n;
    EXPECT_EQ(get<float>(narrow).values(), rounded(x, DType::kBF16).values()) << n;
  }
}

TEST_F(CopyCuda, WritesNumbersThatNeedNotStay) {
  const Tensor there = room(DType::kI64, {3});
  std::vector<std::int64_t> values{1, -2, std::int64_t{1} << 40};
  write(values, there, stream_);
  values.assign(3, 0);
  EXPECT_EQ(get<std::int64_t>(there).values(), (std::vector<std::int64_t>{1, -2, std::int64_t{1} << 40}));
}

TEST_F(CopyCuda, CopiesClearsAndFillsEveryElement) {
  for (const std::int64_t n : {1, 9, 70001}) {
    const Floats x = normal_tensor({n}, 2);
    const Tensor there = room(DType::kF32, {n}), again = room(DType::kF32, {n});
    copy(x, there, stream_);
    copy(there, again, stream_);
    EXPECT_EQ(get<float>(again).values(), x.values());
    clear(there, stream_);
    EXPECT_EQ(get<float>(there).values(), std::vector<float>(static_cast<std::size_t>(n), 0));
    fill(there, 3, stream_);
    EXPECT_EQ(get<float>(there).values(), std::vector<float>(static_cast<std::size_t>(n), 3));
    const Tensor whole = room(DType::kI32, {n});
    fill(whole, -4, stream_);
    EXPECT_EQ(get<std::int32_t>(whole).values(), std::vector<std::int32_t>(static_cast<std::size_t>(n), -4));
  }
}

}  // namespace
}  // namespace coe
