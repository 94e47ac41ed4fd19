#include "launcher/bench/bench_cuda_experts.h"

#include <gmock/gmock.h>

#include "comm/make_transport.h"
#include "tests/bad_input.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

Benchmark small_benchmark() {
  Benchmark benchmark;
  benchmark.tokens = 32;
  benchmark.layer.hidden = 16;
  benchmark.layer.expert_hidden = 8;
  benchmark.layer.experts = benchmark.layer.top_k = 4;  // all of them, so that rows can be counted by hand
  benchmark.device = Device::Kind::kCuda;
  benchmark.warmup_steps = benchmark.steps = 1;
  return benchmark;
}

TEST(BenchCudaExperts, NeedADevice) {
  if (cuda_devices() > 0) GTEST_SKIP() << "there is a CUDA device";
  const auto world = make_transport("local");
  EXPECT_THAT(bad_input([&] { bench_cuda_experts(small_benchmark(), *world); }), HasSubstr("no CUDA device"));
}

using BenchCudaExpertsOnDevice = OnCuda;

TEST_F(BenchCudaExpertsOnDevice, CountRowsAndFlops) {
  const auto world = make_transport("local");
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Benchmark benchmark = small_benchmark();
    benchmark.dtype = dtype;
    CudaExpertsResult result = bench_cuda_experts(benchmark, *world);
    EXPECT_EQ(result.rows_of_experts, (std::vector<std::int64_t>{32, 32, 32, 32}));
    EXPECT_GT(result.backward_ms.min, 0);
    EXPECT_NEAR(result.step_ms.median, result.forward_ms.median + result.backward_ms.median, 1e-9);
    EXPECT_NEAR(result.gflops.median * result.step_ms.median, 18e-6 * 128 * 16 * 8, 1e-9);

    benchmark.forward_only = true;
    result = bench_cuda_experts(benchmark, *world);
    EXPECT_EQ(result.backward_ms.max, 0);
    EXPECT_NEAR(result.gflops.median * result.forward_ms.median, 6e-6 * 128 * 16 * 8, 1e-9);
  }
}

TEST_F(BenchCudaExpertsOnDevice, SayWhatTheyMeasured) {
  const Benchmark benchmark = small_benchmark();
  const Spread time{3, 2, 4};
  const BenchReport report =
      report_cuda_experts(benchmark, {time, time, time, {600, 500, 700}, {30, 20, 40, 38}, {std::nullopt, time}});
  EXPECT_THAT(report.text, HasSubstr("128 rows, 20 to 40 an expert"));
  EXPECT_EQ(report.numbers.at("dtype").as_string(), "F32");
  EXPECT_EQ(report.numbers.at("rows_of_experts").as_array().size(), 4U);
  EXPECT_EQ(report.numbers.at("step_ms_min").as_double(), 2);
}

}  // namespace
}  // namespace coe
