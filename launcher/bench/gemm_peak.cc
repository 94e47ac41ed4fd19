#include "launcher/bench/gemm_peak.h"

#include <algorithm>
#include <array>

#include "kernels/memory/random.h"
#include "launcher/bench/gemm_rate.h"

namespace coe {
namespace {

struct Product {
  std::int64_t m, n, k;
  int repeats;  ///< in a row, of which the best counts: small products need a
                ///< warm cache
};

constexpr std::array kProducts = {Product{2048, 2048, 2048, 1}, Product{1024, 176, 256, 20}};
constexpr std::int64_t kLargest = 2048;

}  // namespace

GemmPeak::GemmPeak(Group group, int threads)
    : group_(group), threads_(threads), memory_(3 * kLargest * kLargest * sizeof(float)) {
  const Shape square{kLargest, kLargest};
  x_ = Tensor(memory_.data(), DType::kF32, square);
  w_ = Tensor(memory_.data() + x_.bytes(), DType::kF32, square);
  y_ = Tensor(memory_.data() + 2 * x_.bytes(), DType::kF32, square);
  fill_normal(x_, {1, 0}, 0, 1);
  fill_normal(w_, {1, 1}, 0, 1);
  std::ranges::fill(y_.span<float>(), 0.0F);
}

void GemmPeak::measure() {
  const auto view = [](const Tensor& memory, std::int64_t rows, std::int64_t columns) {
    return Tensor(memory.raw(), DType::kF32, {rows, columns});
  };
  for (const std::string_view way : gemm_ways()) {
    for (const auto& [m, n, k, repeats] : kProducts) {
      barrier(group_, {"measuring the GEMM peak"});
      double seconds = 1e30;
      for (int i = 0; i < repeats; ++i) {
        seconds = std::min(seconds, time_gemm(way, view(x_, m, k), view(w_, n, k), view(y_, m, n)));
      }
      best_ = std::max(best_, 2e-9 * static_cast<double>(m * n * k) / seconds);
    }
  }
}

double GemmPeak::gflops() const {
  double sum = best_;
  all_reduce_sum<double>(group_, {&sum, 1}, {"gathering the GEMM peak"});
  return sum * threads_ / group_.size();
}

}  // namespace coe
