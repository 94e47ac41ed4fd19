#include <cmath>
#include <numbers>
#include <type_traits>

#include "kernels/decoder/attention.h"
#include "kernels/decoder/attention_call.cuh"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256, kLanes = 16, kPiece = 8;  // a head of 128 is 16 pieces of 8 numbers

/// row_sums[head, row] = the sum of dout * out over a head; kLanes threads to each. kWhole: pieces are aligned.
template <bool kWhole, class Number>
__global__ void row_sums_kernel(AttentionCall<Number> call) {
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t row = at / call.heads, head = at % call.heads, begin = at * call.width;
  float sum = 0;
  for (int i = lane * kPiece; row < call.rows && i < call.width; i += kLanes * kPiece) {
    if constexpr (kWhole) {
      const auto x = *reinterpret_cast<const Pack<Number, kPiece>*>(call.out + begin + i);
      const auto y = *reinterpret_cast<const Pack<Number, kPiece>*>(call.dout + begin + i);
      for (int e = 0; e < kPiece; ++e) sum += to_number(x.values[e]) * to_number(y.values[e]);
    } else {
      for (int e = i; e < i + kPiece && e < call.width; ++e) {
        sum += to_number(call.out[begin + e]) * to_number(call.dout[begin + e]);
      }
    }
  }
  for (int step = kLanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
  if (row < call.rows && lane == 0) call.row_sums[head * call.rows + row] = sum;
}

template <bool kWhole, class Number>
void sum_rows(const AttentionCall<Number>& call, const Stream& stream) {
  const std::int64_t blocks = (call.rows * call.heads * kLanes + kThreads - 1) / kThreads;
  launch("attention_backward", row_sums_kernel<kWhole, Number>, {blocks, kThreads}, stream, call);
}

void expect_fits(const Tensor& x, const Tensor& q) {
  expect_shape("attention: operand", x, q.shape());
  expect_same_dtype("attention", x, q);
}

template <class Number>
AttentionCall<Number> call_of(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& saved,
                              const DocumentRows& documents, int heads) {
  expect_rank("attention: q", q, 2);
  if (heads < 1 || q.extent(1) % heads != 0) {
    fail(ErrorCode::kInternal, "attention: q is ", q.shape().text(), " of ", heads, " heads");
  }
  const std::int64_t rows = q.extent(0), width = q.extent(1) / heads;
  check(width <= kWidestHead, "attention: a head is ", width, " wide, on a device it must be at most ", kWidestHead);
  for (const Tensor& x : {k, v, out}) expect_fits(x, q);
  const float scale = 1.0F / std::sqrt(static_cast<float>(width));
  expect_rank("attention: offsets", documents.offsets, 1);
  if (documents.offsets.extent(0) < 1 || documents.longest < 0 || documents.longest > rows) {
    fail(ErrorCode::kInternal, "attention: of ", rows, " rows a document has ", documents.longest, ", and offsets are ",
         documents.offsets.shape().text());
  }
  if (saved.elements() != heads * rows) {
    fail(ErrorCode::kInternal, "attention: saved is ", saved.shape().text(), ", must have ", heads * rows, " elements");
  }
  return {.offsets = documents.offsets.data<std::int32_t>(),
          .documents = static_cast<int>(documents.offsets.extent(0) - 1),
          .heads = heads,
          .width = static_cast<int>(width),
          .rows = rows,
          .longest = documents.longest,
          .scale = scale,
          .binary_scale = scale * std::numbers::log2e_v<float>,
          .q = pointer<Number>(q),
          .k = pointer<Number>(k),
          .v = pointer<Number>(v),
          .out = pointer<Number>(out),
          .saved = saved.data<float>()};
}

/// Whether tensor cores can be used.
template <class Number>
bool is_whole(const AttentionCall<Number>& call) {
  return std::is_same_v<Number, __nv_bfloat16> &&
         packs<Number>(call.width, {call.q, call.k, call.v, call.out, call.dout, call.dq, call.dk, call.dv});
}

}  // namespace

void attention(const Tensor& q, const Tensor& k, const Tensor& v, const DocumentRows& documents, int heads,
               const Tensor& out, const Tensor& saved, const Stream& stream) {
  with_number("attention", q, [&](auto number) {
    using Number = decltype(number);
    const auto call = call_of<Number>(q, k, v, out, saved, documents, heads);
    if constexpr (std::is_same_v<Number, __nv_bfloat16>) {
      if (is_whole(call)) return attention_bf16(call, stream);
    }
    attention_plain(call, stream);
  });
}

void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& saved,
                        const DocumentRows& documents, int heads, const Tensor& dout, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv, const Tensor& row_sums, const Stream& stream) {
  with_number("attention_backward", q, [&](auto number) {
    using Number = decltype(number);
    auto call = call_of<Number>(q, k, v, out, saved, documents, heads);
    for (const Tensor& x : {dout, dq, dk, dv}) expect_fits(x, q);
    expect_shape("attention_backward: row_sums", row_sums, {heads, q.extent(0)});
    call.dout = pointer<Number>(dout);
    call.dq = pointer<Number>(dq);
    call.dk = pointer<Number>(dk);
    call.dv = pointer<Number>(dv);
    call.row_sums = row_sums.data<float>();
    if constexpr (std::is_same_v<Number, __nv_bfloat16>) {
      if (is_whole(call)) {
        sum_rows<true>(call, stream);
        return attention_backward_bf16(call, stream);
      }
    }
    sum_rows<false>(call, stream);
    attention_backward_plain(call, stream);
  });
}

}  // namespace coe::cuda
