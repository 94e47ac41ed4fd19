#include "kernels/routing/router_product.h"

#include "kernels/memory/copy.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

/// A width that products of bf16 take 16 bytes at a time.
std::int64_t padded(std::int64_t width) { return (width + 7) / 8 * 8; }

/// Checks a product's operands. True where it is to be made of halves.
bool is_split(const char* name, const Tensor& x, const Tensor& w, const Tensor& logits) {
  expect_rank(name, x, 2);
  expect_rank(name, w, 2);
  expect_shape(name, x, {x.extent(0), w.extent(1)});
  expect_shape(name, logits, {x.extent(0), w.extent(0)});
  for (const Tensor* wide : {&w, &logits}) {
    if (wide->dtype() != DType::kF32) {
      fail(ErrorCode::kInternal, name, ": dtype is ", name_of(wide->dtype()), ", must be F32");
    }
  }
  return !x.on_host() && x.dtype() == DType::kBF16;
}

/// Halves of w [N, D]: bf16 [parts N', D] with zeros from N to N', the second part low, the others high.
Tensor split_weight(const Tensor& w, std::int64_t parts, Arena& arena, const Stream& stream) {
  const std::int64_t rows = padded(w.extent(0)), columns = w.extent(1);
  const Tensor halves = arena.make<Bf16>({parts * rows, columns});
  cuda::split_halves(w.reshaped({1, w.elements()}), 1, halves.reshaped({1, parts, rows * columns}), stream);
  return halves;
}

/// Halves of dlogits [T, N]: bf16 [T, parts N'] with zeros from N to N', the last part low, the others high.
Tensor split_logits(const Tensor& dlogits, std::int64_t parts, Arena& arena, const Stream& stream) {
  const std::int64_t rows = dlogits.extent(0), columns = padded(dlogits.extent(1));
  const Tensor halves = arena.make<Bf16>({rows, parts * columns});
  cuda::split_halves(dlogits, parts - 1, halves.reshaped({rows, parts, columns}), stream);
  return halves;
}

}  // namespace

void router_logits(const Tensor& x, const LinearWeight& w, const Tensor& logits, Arena& arena, const Stream& stream) {
  if (!is_split("router_logits", x, w.value, logits)) return linear(x, w, logits, arena, stream);
  ArenaScope scratch(arena);
  const Tensor halves = split_weight(w.value, 2, arena, stream);
  const Tensor sums = arena.make<float>({x.extent(0), halves.extent(0)});
  linear(x, halves, sums, arena, stream);
  cuda::add_halves(sums.reshaped({x.extent(0), 2, halves.extent(0) / 2}), 0, logits, stream);
}

void router_input_gradient(const Tensor& dlogits, const Tensor& w, float beta, const Tensor& dx, Arena& arena,
                           const Stream& stream) {
  if (!is_split("router_input_gradient", dx, w, dlogits)) {
    return linear_input_gradient(dlogits, w, beta, dx, arena, stream);
  }
  ArenaScope scratch(arena);
  // High by high, high by low, low by high; low by low is less than the rounding.
  const Tensor left = split_logits(dlogits, 3, arena, stream), right = split_weight(w, 3, arena, stream);
  linear_input_gradient(left, right, beta, dx, arena, stream);
}

void router_weight_gradient(const Tensor& dlogits, const Tensor& x, const Tensor& dw, Arena& arena,
                            const Stream& stream) {
  if (!is_split("router_weight_gradient", x, dw, dlogits)) {
    return linear_weight_gradient(dlogits, x, dw, arena, stream);
  }
  ArenaScope scratch(arena);
  const Tensor halves = split_logits(dlogits, 2, arena, stream);
  const Tensor sums = arena.make<float>({halves.extent(1), x.extent(1)});
  clear(sums, stream);
  linear_weight_gradient(halves, x, sums, arena, stream);
  cuda::add_halves(sums.reshaped({1, 2, sums.elements() / 2}), 1, dw.reshaped({1, dw.elements()}), stream);
}

}  // namespace coe
