#include "kernels/products/grouped_gemm.h"

#include <algorithm>

#include "kernels/memory/error.h"
#include "kernels/products/linear.h"

namespace coe {
namespace {

/// Calls visit(group, first row, rows) for every group that has rows.
template <class Visit>
void for_each_group(const Tensor& offsets, std::int64_t groups, std::int64_t rows, const Visit& visit) {
  expect_shape("grouped_linear: offsets", offsets, {groups + 1});
  const auto ends = offsets.span<std::int32_t>();
  if (!std::ranges::is_sorted(ends) || ends.front() != 0 || ends.back() > rows) {
    fail(ErrorCode::kInternal, "grouped_linear: offsets run from ", ends.front(), " to ", ends.back(),
         ", must ascend from 0 within the ", rows, " rows");
  }
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::int64_t first = offsets.data<std::int32_t>()[g], end = offsets.data<std::int32_t>()[g + 1];
    if (end > first) visit(g, first, end - first);
  }
}

}  // namespace

void grouped_linear(const Tensor& x, const Tensor& w, const Tensor& offsets, const Tensor& y) {
  expect_rank("grouped_linear: w", w, 3);
  for_each_group(offsets, w.extent(0), x.extent(0), [&](std::int64_t g, std::int64_t first, std::int64_t rows) {
    linear(x.rows(first, rows), w[g], y.rows(first, rows));
  });
}

void grouped_linear_input_gradient(const Tensor& dy, const Tensor& w, const Tensor& offsets, const Tensor& dx) {
  expect_rank("grouped_linear: w", w, 3);
  for_each_group(offsets, w.extent(0), dy.extent(0), [&](std::int64_t g, std::int64_t first, std::int64_t rows) {
    linear_input_gradient(dy.rows(first, rows), w[g], 0, dx.rows(first, rows));
  });
}

void grouped_linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& offsets, const Tensor& dw) {
  expect_rank("grouped_linear: dw", dw, 3);
  for_each_group(offsets, dw.extent(0), dy.extent(0), [&](std::int64_t g, std::int64_t first, std::int64_t rows) {
    linear_weight_gradient(dy.rows(first, rows), x.rows(first, rows), dw[g]);
  });
}

}  // namespace coe
