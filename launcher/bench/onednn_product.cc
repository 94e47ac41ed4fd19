#include <dnnl.h>
#include <omp.h>

#include "kernels/memory/error.h"
#include "launcher/bench/product_library.h"

namespace coe {
namespace {

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

void product(const Tensor& x, const Tensor& w, const Tensor& y) {
  const OneThread one_thread;
  const dnnl_status_t status =
      dnnl_sgemm('N', 'T', x.extent(0), w.extent(0), x.extent(1), 1.0F, x.data<float>(), x.extent(1), w.data<float>(),
                 w.extent(1), 0.0F, y.data<float>(), y.extent(1));
  if (status != dnnl_success) fail(ErrorCode::kSystem, "time_gemm: oneDNN answers ", static_cast<int>(status));
}

}  // namespace

ProductLibrary onednn() { return {"onednn", product}; }

}  // namespace coe
