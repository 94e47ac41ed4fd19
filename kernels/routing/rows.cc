#include "kernels/routing/rows.h"

#include <algorithm>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// sum += w row
void add_row(const float* row, float w, std::int64_t width, float* sum) {
  for (std::int64_t i = 0; i < width; ++i) sum[i] += w * row[i];
}

void expect_offsets(std::span<const std::int32_t> offsets, std::int64_t choices) {
  if (!std::ranges::is_sorted(offsets) || offsets.front() < 0 || offsets.back() > choices) {
    fail(ErrorCode::kInternal, "combine_rows: offsets run from ", offsets.front(), " to ", offsets.back(),
         ", must ascend within the ", choices, " choices");
  }
}

}  // namespace

void gather_rows(const Tensor& x, const Tensor& index, const Tensor& out) {
  expect_rank("gather_rows: x", x, 2);
  expect_rank("gather_rows: index", index, 1);
  const std::int64_t width = x.extent(1);
  expect_shape("gather_rows: out", out, {index.extent(0), width});
  const float* in = x.data<float>();
  auto* to = out.data<float>();
  for (const std::int32_t from : index.span<std::int32_t>()) {
    if (from < 0 || from >= x.extent(0)) {
      fail(ErrorCode::kInternal, "gather_rows: index is ", from, ", must be below ", x.extent(0));
    }
    to = std::copy_n(in + from * width, width, to);
  }
}

void combine_rows(std::span<const float* const> rows, const Tensor& offsets, const Tensor& w, const Tensor& sum) {
  expect_rank("combine_rows: sum", sum, 2);
  const std::int64_t tokens = sum.extent(0), width = sum.extent(1), choices = std::ssize(rows);
  expect_shape("combine_rows: offsets", offsets, {tokens + 1});
  if (w.elements() > 0) expect_shape("combine_rows: w", w, {choices});
  const float* weights = w.elements() > 0 ? w.data<float>() : nullptr;
  const auto* begin = offsets.data<std::int32_t>();
  auto* to = sum.data<float>();
  expect_offsets(offsets.span<std::int32_t>(), choices);
  for (std::int64_t token = 0; token < tokens; ++token, to += width) {
    std::fill_n(to, width, 0.0F);
    for (std::int32_t j = begin[token]; j < begin[token + 1]; ++j) {
      const float* row = rows[static_cast<std::size_t>(j)];
      if (row != nullptr) add_row(row, weights != nullptr ? weights[j] : 1.0F, width, to);
    }
  }
}

void add(const Tensor& x, float beta, const Tensor& y) {
  expect_shape("add: y", y, x.shape());
  const std::int64_t n = x.elements();
  const float* in = x.data<float>();
  auto* out = y.data<float>();
  if (beta == 0.0F) {
    std::copy_n(in, n, out);
    return;
  }
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) out[i] = beta * out[i] + in[i];
}

void add(const Tensor& x, float beta, const Tensor& y, const Stream& stream) {
  if (x.on_host()) return add(x, beta, y);
  cuda::add(x, beta, y, stream);
}

}  // namespace coe
