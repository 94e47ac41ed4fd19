#include "kernels/decoder/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/memory/error.h"
#include "kernels/products/gemm.h"
#include "kernels/products/row_softmax.h"

namespace coe {
namespace {

/// Queries that share one product; keys beyond the last of them are skipped.
constexpr std::int64_t kBlock = 64;

struct Sizes {
  std::int64_t length, heads, width;
  float scale;  ///< 1 / sqrt(width)
};

Sizes sizes_of(const Tensor& q, int heads, const Tensor& p) {
  expect_rank("attention: q", q, 2);
  const std::int64_t length = q.extent(0);
  if (heads < 1 || q.extent(1) % heads != 0) {
    fail(ErrorCode::kInternal, "attention: q is ", q.shape().text(), " of ", heads, " heads");
  }
  expect_shape("attention: p", p, {heads, length, length});
  const std::int64_t width = q.extent(1) / heads;
  return {length, heads, width, 1.0F / std::sqrt(static_cast<float>(width))};
}

/// Rows [first, first + count) of one head of x [S, heads * d].
Matrix head_rows(const Tensor& x, const Sizes& sizes, std::int64_t head, std::int64_t first, std::int64_t count) {
  const std::int64_t stride = sizes.heads * sizes.width;
  return {x.data<float>() + first * stride + head * sizes.width, count, sizes.width, stride};
}

/// Calls work(head, first query, queries, keys that they see) for every block of queries of every head.
template <class Work>
void for_each_block(const Sizes& sizes, Work work) {
  for (std::int64_t head = 0; head < sizes.heads; ++head) {
    for (std::int64_t first = 0; first < sizes.length; first += kBlock) {
      const std::int64_t count = std::min(kBlock, sizes.length - first);
      work(head, first, count, first + count);
    }
  }
}

void causal_softmax(const Matrix& scores, std::int64_t first, const Sizes& sizes) {
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    float* row = scores.data + i * scores.stride;
    const std::int64_t seen = first + i + 1;
    row_softmax(row, seen, sizes.scale, row);
    std::fill(row + seen, row + sizes.length, 0.0F);
  }
}

void causal_softmax_backward(const Matrix& p, std::int64_t first, const Sizes& sizes, const Matrix& gradient) {
  for (std::int64_t i = 0; i < p.rows; ++i) {
    float* row = gradient.data + i * gradient.stride;
    const std::int64_t seen = first + i + 1;
    row_softmax_backward(p.data + i * p.stride, row, seen, sizes.scale, row);
    std::fill(row + seen, row + gradient.columns, 0.0F);
  }
}

void clear(const Tensor& x) { std::ranges::fill(x.span<float>(), 0.0F); }

}  // namespace

void attention(const Tensor& q, const Tensor& k, const Tensor& v, int heads, const Tensor& out, const Tensor& p) {
  const Sizes sizes = sizes_of(q, heads, p);
  expect_shape("attention: k", k, q.shape());
  expect_shape("attention: v", v, q.shape());
  expect_shape("attention: out", out, q.shape());
  auto* probabilities = p.data<float>();
  for_each_block(sizes, [&](std::int64_t head, std::int64_t first, std::int64_t count, std::int64_t seen) {
    const Matrix scores{probabilities + (head * sizes.length + first) * sizes.length, count, seen, sizes.length};
    gemm(head_rows(q, sizes, head, first, count), Transpose::kNo, head_rows(k, sizes, head, 0, seen), Transpose::kYes,
         0.0F, scores);
    causal_softmax(scores, first, sizes);
    gemm(scores, Transpose::kNo, head_rows(v, sizes, head, 0, seen), Transpose::kNo, 0.0F,
         head_rows(out, sizes, head, first, count));
  });
}

void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& p, int heads,
                        const Tensor& dout, const Tensor& dq, const Tensor& dk, const Tensor& dv, Arena& arena) {
  const Sizes sizes = sizes_of(q, heads, p);
  for (const Tensor& x : {k, v, dout, dq, dk, dv}) expect_shape("attention_backward: operand", x, q.shape());
  const ArenaScope scope(arena);
  auto* scratch = arena.make<float>({kBlock, sizes.length}).data<float>();
  auto* probabilities = p.data<float>();
  clear(dk);
  clear(dv);
  for_each_block(sizes, [&](std::int64_t head, std::int64_t first, std::int64_t count, std::int64_t seen) {
    const Matrix chosen{probabilities + (head * sizes.length + first) * sizes.length, count, seen, sizes.length};
    const Matrix gradient{scratch, count, seen, seen}, upstream = head_rows(dout, sizes, head, first, count);
    gemm(upstream, Transpose::kNo, head_rows(v, sizes, head, 0, seen), Transpose::kYes, 0.0F, gradient);
    causal_softmax_backward(chosen, first, sizes, gradient);
    gemm(gradient, Transpose::kNo, head_rows(k, sizes, head, 0, seen), Transpose::kNo, 0.0F,
         head_rows(dq, sizes, head, first, count));
    gemm(gradient, Transpose::kYes, head_rows(q, sizes, head, first, count), Transpose::kNo, 1.0F,
         head_rows(dk, sizes, head, 0, seen));
    gemm(chosen, Transpose::kYes, upstream, Transpose::kNo, 1.0F, head_rows(dv, sizes, head, 0, seen));
  });
}

}  // namespace coe
