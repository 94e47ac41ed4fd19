#pragma once

#include <optional>

#include "comm/stream_meeting.h"
#include "kernels/memory/arena.h"
#include "kernels/products/cublas.h"
#include "launcher/bench/bench_report.h"

namespace coe {

struct DeviceRates {
  std::optional<Spread> product_gflops;  ///< nothing in a build without cuBLAS
  Spread copy_gb_per_s;                  ///< bytes read and bytes written
};

/// What no work on a CUDA device can be expected to beat: cuBLAS's 8192 x 8192 x 8192 product of random numbers, and a
/// copy of 1 GiB. Measured a little at a time, between the steps of a benchmark.
class DeviceBounds {
 public:
  /// The product is of `dtype`, fp32 or bf16.
  DeviceBounds(DType dtype, Group group, const Stream& stream);
  /// Runs each once.
  void measure();
  /// Of at least one measure().
  DeviceRates rates() const;

 private:
  Group group_;
  const Stream* stream_;
  Arena memory_;
  Tensor from_, to_;
  Tensor x_, w_, y_;
  std::optional<cuda::Cublas> cublas_;
  Event begin_, between_, end_;
  std::vector<double> product_, copy_;
};

/// Adds the rates to a report, and each of a product's rates as a fraction of cuBLAS's.
void say_bounds(BenchReport& report, const DeviceRates& rates, const Spread& gflops);

}  // namespace coe
