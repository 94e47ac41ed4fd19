#include "kernels/products/gemm_rate.h"

#include <cblas.h>
#include <dnnl.h>
#include <omp.h>

#include <array>
#include <chrono>
#include <mutex>

#include "kernels/memory/error.h"
#include "kernels/products/linear.h"

namespace coe {
namespace {

constexpr std::array<std::string_view, 3> kWays = {"linear", "onednn", "openblas"};

/// oneDNN runs on the calling thread alone while this lives; the setting belongs to the thread.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

void onednn_product(const Tensor& x, const Tensor& w, const Tensor& y) {
  const OneThread one_thread;
  const dnnl_status_t status =
      dnnl_sgemm('N', 'T', x.extent(0), w.extent(0), x.extent(1), 1.0F, x.data<float>(), x.extent(1), w.data<float>(),
                 w.extent(1), 0.0F, y.data<float>(), y.extent(1));
  if (status != dnnl_success) fail(ErrorCode::kSystem, "time_gemm: oneDNN answers ", static_cast<int>(status));
}

void openblas_product(const Tensor& x, const Tensor& w, const Tensor& y) {
  const auto size = [](std::int64_t extent) { return static_cast<blasint>(extent); };
  const blasint inner = size(x.extent(1)), columns = size(y.extent(1));
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(x.extent(0)), columns, inner, 1.0F, x.data<float>(), inner,
              w.data<float>(), inner, 0.0F, y.data<float>(), columns);
}

/// Calls and returns the seconds it took.
template <class Work>
double seconds_of(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

std::span<const std::string_view> gemm_ways() { return kWays; }

double time_gemm(std::string_view way, const Tensor& x, const Tensor& w, const Tensor& y) {
  if (way == "linear") return seconds_of([&] { linear(x, w, y); });
  expect_shape("time_gemm: w", w, {y.extent(1), x.extent(1)});
  expect_shape("time_gemm: y", y, {x.extent(0), w.extent(0)});
  if (way == "onednn") return seconds_of([&] { onednn_product(x, w, y); });
  check(way == "openblas", "time_gemm: way is ", way, ", must be linear, onednn or openblas");
  static std::mutex openblas_is_not_thread_safe;
  const std::scoped_lock lock(openblas_is_not_thread_safe);
  return seconds_of([&] { openblas_product(x, w, y); });
}

}  // namespace coe
