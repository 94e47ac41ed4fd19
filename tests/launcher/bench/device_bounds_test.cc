#include "launcher/bench/device_bounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/make_transport.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

TEST(DeviceBounds, AreSaidWithAProductsFractionOfThem) {
  BenchReport report;
  say_bounds(report, {Spread{800, 700, 900}, Spread{3000, 2900, 3100}}, {600, 500, 700});
  EXPECT_THAT(report.text, HasSubstr("0.750 of cuBLAS's 800 (700 to 900)"));
  EXPECT_EQ(report.numbers.at("peak_fraction").as_double(), 0.75);
  EXPECT_EQ(report.numbers.at("cublas_gflops_max").as_double(), 900);
  EXPECT_EQ(report.numbers.at("copy_gb_per_s").as_double(), 3000);
}

TEST(DeviceBounds, SayThatThereIsNoCublas) {
  BenchReport report;
  say_bounds(report, {std::nullopt, Spread{3000, 2900, 3100}}, {600, 500, 700});
  EXPECT_THAT(report.text, HasSubstr("cuBLAS is not linked"));
  EXPECT_TRUE(report.numbers.at("peak_fraction").is_null());
  EXPECT_TRUE(report.numbers.at("cublas_gflops").is_null());
}

using DeviceBoundsCuda = OnCuda;

TEST_F(DeviceBoundsCuda, AreMeasured) {
  const auto world = make_transport("local");
  DeviceBounds bounds(DType::kBF16, {world.get()}, stream_);
  bounds.measure();
  const DeviceRates rates = bounds.rates();
  EXPECT_GT(rates.copy_gb_per_s.median, 0);
  EXPECT_EQ(rates.product_gflops.has_value(), cuda::Cublas::linked());
  EXPECT_GT(rates.product_gflops.value_or(Spread{1, 1, 1}).min, 0);
}

}  // namespace
}  // namespace coe
