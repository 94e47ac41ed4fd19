#include "launcher/bench/device_bounds.h"

#include <fmt/format.h>

#include "kernels/memory/copy.h"
#include "launcher/bench/random_on_device.h"

namespace coe {
namespace {

constexpr std::int64_t kSide = 8192, kCopied = std::int64_t{1} << 30;
constexpr double kFlops = 2.0 * kSide * kSide * kSide;

}  // namespace

DeviceBounds::DeviceBounds(DType dtype, Group group, const Stream& stream)
    : group_(group),
      stream_(&stream),
      memory_(0, stream.device()),
      from_(memory_.make<std::uint8_t>({kCopied})),
      to_(memory_.make<std::uint8_t>({kCopied})),
      begin_(stream.device()),
      between_(stream.device()),
      end_(stream.device()) {
  clear(from_, stream);
  if (!cuda::Cublas::linked()) return;
  cublas_.emplace(stream.device());
  x_ = memory_.make(dtype, {kSide, kSide});
  w_ = memory_.make(dtype, {kSide, kSide});
  y_ = memory_.make(dtype, {kSide, kSide});
  fill_normal_there(x_, {1, 0}, 1, group, stream);
  fill_normal_there(w_, {1, 1}, 1, group, stream);
}

void DeviceBounds::measure() {
  begin_.record(*stream_);
  copy(from_, to_, *stream_);
  between_.record(*stream_);
  if (cublas_) cublas_->linear(x_, w_, y_, *stream_);
  end_.record(*stream_);
  wait(group_, *stream_, {"measuring bounds"});
  copy_.push_back(2e-9 * kCopied / between_.seconds_since(begin_));
  if (cublas_) product_.push_back(1e-9 * kFlops / end_.seconds_since(between_));
}

DeviceRates DeviceBounds::rates() const {
  DeviceRates rates{std::nullopt, spread_of(copy_)};
  if (cublas_) rates.product_gflops = spread_of(product_);
  return rates;
}

void say_bounds(BenchReport& report, const DeviceRates& rates, const Spread& gflops) {
  report.put("copy_gb_per_s", rates.copy_gb_per_s);
  report.numbers["cublas_gflops"] = report.numbers["peak_fraction"] = nullptr;
  std::string product = "cuBLAS is not linked";
  if (rates.product_gflops) {
    const double fraction = gflops.median / rates.product_gflops->median;
    report.put("cublas_gflops", *rates.product_gflops);
    report.numbers["peak_fraction"] = fraction;
    product = fmt::format("{:.3f} of cuBLAS's {} at 8192^3", fraction, text_of(*rates.product_gflops, 0));
  }
  report.text += fmt::format("  {} GFLOP/s, {}; a large copy {} GB/s\n", text_of(gflops, 0), product,
                             text_of(rates.copy_gb_per_s, 0));
}

}  // namespace coe
