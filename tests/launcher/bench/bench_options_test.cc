#include "launcher/bench/bench_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/bad_input.h"

namespace coe {
namespace {

using ::testing::HasSubstr;
using Arguments = std::vector<std::string>;

Benchmark parsed(const Arguments& arguments) { return parse_bench_options(arguments).value().benchmark; }
std::string refused(const Arguments& arguments) {
  return bad_input([&] { parse_bench_options(arguments); });
}

TEST(BenchOptions, WorkloadsSaySizesThatOptionsOverride) {
  const Benchmark w2 = parsed({"layer", "--workload", "w2", "--top-k", "8", "--iterations", "1"});
  EXPECT_EQ(w2.tokens, 2048);
  EXPECT_EQ(w2.layer.hidden, 1024);
  EXPECT_EQ(w2.layer.expert_hidden, 704);
  EXPECT_EQ(model_name(w2.layer), "MoE(8/64)");
  EXPECT_FALSE(w2.forward_only);
  EXPECT_TRUE(parsed({"layer", "--workload", "w3"}).forward_only);
  EXPECT_EQ(parsed({"exchange", "--workload", "w3", "--tokens", "7"}).tokens, 7);
}

TEST(BenchOptions, OneIterationWhereNoLayerIsMeasured) {
  EXPECT_EQ(parsed({"layer"}).layer.iterations, 2);
  EXPECT_EQ(parsed({"exchange"}).layer.iterations, 1);
}

TEST(BenchOptions, ExpertsAndLayerRunOnADevice) {
  for (const char* what : {"layer", "experts"}) {
    const Benchmark benchmark = parsed({what, "--device", "cuda", "--dtype", "bf16"});
    EXPECT_EQ(benchmark.device, Device::Kind::kCuda);
    EXPECT_EQ(benchmark.dtype, DType::kBF16);
    EXPECT_EQ(parsed({what}).dtype, DType::kF32);
  }
  EXPECT_THAT(refused({"gate", "--device", "cuda"}), HasSubstr("--device means nothing here"));
  EXPECT_THAT(refused({"experts", "--dtype", "bf16"}), HasSubstr("--dtype is bf16, allowed are fp32"));
}

TEST(BenchOptions, RefusesWhatMakesNoSense) {
  EXPECT_THAT(refused({"router"}), HasSubstr("router is no benchmark; there are layer, exchange, experts, gate"));
  EXPECT_THAT(refused({"layer", "--workload", "w9"}), HasSubstr("--workload is w9, must be w1, w2 or w3"));
  EXPECT_THAT(refused({"gate", "--skew", "1"}), HasSubstr("bench gate: --skew means nothing here"));
  EXPECT_THAT(refused({"exchange", "--iterations", "2"}), HasSubstr("--iterations means nothing here"));
  EXPECT_THAT(refused({"exchange", "--skew", "-1"}), HasSubstr("--skew is -1, allowed are 0 to 100"));
  EXPECT_THAT(refused({"layer", "--steps", "0"}), HasSubstr("--steps is 0, allowed are 1 to 2^30"));
  EXPECT_THAT(refused({"layer", "--threads", "0"}), HasSubstr("--threads is 0, allowed are 1 to 1024"));
  EXPECT_THAT(refused({"gate", "--threads", "2"}), HasSubstr("bench gate: --threads means nothing here"));
  EXPECT_THAT(refused({"layer", "--tokens", "33"}), HasSubstr("must be a multiple of --sequence, 256"));
}

}  // namespace
}  // namespace coe
