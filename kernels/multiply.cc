#include "kernels/multiply.h"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>

#include "kernels/error.h"

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

void clear(const Matrix& out) {
  for (std::int64_t row = 0; row < out.rows; ++row) std::fill_n(out.data + row * out.stride, out.columns, 0.0F);
}

}  // namespace

// oneDNN and not OpenBLAS: Debian's serial OpenBLAS is built without locks and mixes up the buffers of threads that
// call it at once.
void multiply(const Matrix& a, Transpose transpose_a, const Matrix& b, Transpose transpose_b, float beta,
              const Matrix& out) {
  const std::int64_t inner = transpose_a == Transpose::kYes ? a.rows : a.columns;
  if (out.rows == 0 || out.columns == 0) return;
  if (inner == 0) {
    if (beta == 0.0F) clear(out);
    return;
  }
  const OneThread one_thread;
  const auto letter = [](Transpose transpose) { return transpose == Transpose::kYes ? 'T' : 'N'; };
  const dnnl_status_t status = dnnl_sgemm(letter(transpose_a), letter(transpose_b), out.rows, out.columns, inner, 1.0F,
                                          a.data, a.stride, b.data, b.stride, beta, out.data, out.stride);
  if (status != dnnl_success) fail(ErrorCode::kSystem, "multiply: oneDNN answers ", static_cast<int>(status));
}

}  // namespace coe
