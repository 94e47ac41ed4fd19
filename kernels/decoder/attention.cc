#include "kernels/decoder/attention.h"

#include <algorithm>
#include <cmath>
#include <span>

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

/// Calls work(first row, rows, probabilities) of every document on the host.
template <class Work>
void for_each_document(const Tensor& q, const DocumentRows& documents, int heads, const Tensor& saved,
                       const Work& work) {
  const std::span<const std::int32_t> offsets = documents.offsets.span<std::int32_t>();
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != q.extent(0) || !std::ranges::is_sorted(offsets)) {
    fail(ErrorCode::kInternal, "attention: offsets must rise from 0 to ", q.extent(0), ", the rows");
  }
  auto *place = saved.data<float>(), *end = place + saved.elements();
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    const std::int64_t length = offsets[i + 1] - offsets[i], elements = heads * length * length;
    if (elements > end - place) fail(ErrorCode::kInternal, "attention: saved is too small: ", saved.shape().text());
    work(offsets[i], length, Tensor(place, DType::kF32, {heads, length, length}));
    place += elements;
  }
}

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

std::int64_t attention_saved_elements(std::int64_t rows, int heads, std::span<const std::int32_t> lengths,
                                      Device device) {
  if (device.kind != Device::Kind::kCpu) return heads * rows;
  std::int64_t squares = 0;
  for (const std::int64_t length : lengths) squares += length * length;
  return heads * squares;
}

void attention(const Tensor& q, const Tensor& k, const Tensor& v, const DocumentRows& documents, int heads,
               const Tensor& out, const Tensor& saved, const Stream& stream) {
  if (!q.on_host()) return cuda::attention(q, k, v, documents, heads, out, saved, stream);
  for (const Tensor& x : {k, v, out}) expect_shape("attention: operand", x, q.shape());
  for_each_document(q, documents, heads, saved, [&](std::int64_t first, std::int64_t count, const Tensor& p) {
    attention(q.rows(first, count), k.rows(first, count), v.rows(first, count), heads, out.rows(first, count), p);
  });
}

void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& saved,
                        const DocumentRows& documents, int heads, const Tensor& dout, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv, Arena& arena, const Stream& stream) {
  if (!q.on_host()) {
    const ArenaScope scope(arena);
    const Tensor row_sums = arena.make<float>({heads, q.extent(0)});
    return cuda::attention_backward(q, k, v, out, saved, documents, heads, dout, dq, dk, dv, row_sums, stream);
  }
  for (const Tensor& x : {k, v, dout, dq, dk, dv}) expect_shape("attention_backward: operand", x, q.shape());
  for_each_document(q, documents, heads, saved, [&](std::int64_t first, std::int64_t count, const Tensor& p) {
    const auto rows = [&](const Tensor& x) { return x.rows(first, count); };
    attention_backward(rows(q), rows(k), rows(v), p, heads, rows(dout), rows(dq), rows(dk), rows(dv), arena);
  });
}

}  // namespace coe
