#include "launcher/bench/bench_cuda_layer.h"

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
  benchmark.sequence = 8;
  benchmark.layer.hidden = 16;
  benchmark.layer.expert_hidden = 8;
  benchmark.layer.experts = 8;
  benchmark.layer.top_k = 3;
  benchmark.layer.iterations = 2;
  benchmark.device = Device::Kind::kCuda;
  benchmark.warmup_steps = benchmark.steps = 1;
  return benchmark;
}

TEST(BenchCudaLayer, NeedsADevice) {
  if (cuda_devices() > 0) GTEST_SKIP() << "there is a CUDA device";
  const auto world = make_transport("local");
  EXPECT_THAT(bad_input([&] { bench_cuda_layer(small_benchmark(), *world); }), HasSubstr("no CUDA device"));
}

using BenchCudaLayerOnDevice = OnCuda;

TEST_F(BenchCudaLayerOnDevice, CountsFlopsAndBytes) {
  const auto world = make_transport("local");
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Benchmark benchmark = small_benchmark();
    benchmark.dtype = dtype;
    CudaLayerResult result = bench_cuda_layer(benchmark, *world);
    EXPECT_NEAR(result.gflops.median * result.step_ms.median, 18e-6 * 32 * 3 * 2 * 16 * 8, 1e-9);
    // In each of 2 iterations 32 tokens are read thrice and written once and 3 times as many rows written and read.
    const double bytes = 2 * 32 * (2 * 3 + 4) * 16 * static_cast<double>(size_of(dtype));
    const double milliseconds = result.forward_ms.median - result.experts_forward_ms.median;
    EXPECT_NEAR(result.routing_gb_per_s.median * milliseconds, 1e-6 * bytes, 1e-9);
    EXPECT_GT(result.step_ms.median, result.forward_ms.median);

    benchmark.forward_only = true;
    result = bench_cuda_layer(benchmark, *world);
    EXPECT_NEAR(result.gflops.median * result.step_ms.median, 6e-6 * 32 * 3 * 2 * 16 * 8, 1e-9);
  }
}

TEST_F(BenchCudaLayerOnDevice, SaysWhatItMeasured) {
  const Spread time{3, 2, 4};
  const BenchReport report =
      report_cuda_layer(small_benchmark(), {time, time, time, {600, 500, 700}, {1500, 1, 2000}, {time, {3000, 2, 4}}});
  EXPECT_THAT(report.text, HasSubstr("layer of CoE-2(3/8)"));
  EXPECT_EQ(report.numbers.at("routing_fraction").as_double(), 0.5);
  EXPECT_EQ(report.numbers.at("peak_fraction").as_double(), 200);
  EXPECT_EQ(report.numbers.at("step_ms_max").as_double(), 4);
}

}  // namespace
}  // namespace coe
