#include "runtime/layer/device_experts.h"

#include <algorithm>

#include "kernels/memory/copy.h"
#include "kernels/products/grouped_gemm.h"
#include "kernels/products/linear.h"
#include "kernels/products/swiglu.h"

namespace coe {
namespace {

Tensor workspace_of(const DeviceExpertWeights& weights, Arena& arena) {
  return arena.make<std::uint8_t>({cuda::grouped_workspace_bytes(weights.count())});
}

/// For the products of one feed-forward over `rows` rows.
Tensor dense_workspace_of(const DeviceExpertWeights& weights, std::int64_t rows, Arena& arena) {
  const auto bytes = [&](const Tensor& w) { return cuda::linear_workspace_bytes(rows, w.extent(1), w.extent(2)); };
  return arena.make<std::uint8_t>({std::max(bytes(weights.gate_up.value), bytes(weights.down.value))});
}

}  // namespace

void experts_forward(const DeviceExpertWeights& weights, const Tensor& x, const Tensor& offsets, const Tensor& ab,
                     const Tensor& out, Arena& arena, const Stream& stream) {
  if (weights.count() == 0) return;
  ArenaScope scratch(arena);
  const Tensor m = arena.make(x.dtype(), {x.extent(0), weights.down.value.extent(2)});
  const Tensor workspace = workspace_of(weights, arena);
  cuda::grouped_linear(x, weights.gate_up.value, offsets, ab, workspace, stream);
  cuda::swiglu(ab, m, offsets.rows(weights.count(), 1), stream);
  cuda::grouped_linear(m, weights.down.value, offsets, out, workspace, stream);
}

void experts_backward(const DeviceExpertWeights& weights, const Tensor& x, const Tensor& offsets, const Tensor& ab,
                      const DeviceRows& d, const DeviceRows& dx, Arena& arena, const Stream& stream) {
  if (weights.count() == 0) return;
  ArenaScope scratch(arena);
  const Tensor q = arena.make(x.dtype(), {x.extent(0), weights.down.value.extent(2)});
  const Tensor workspace = workspace_of(weights, arena);
  cuda::grouped_linear_input_gradient(d.rows, weights.down.value, offsets, q, workspace, stream);
  cuda::swiglu_backward(ab, q, d.scalar, ab, q, dx.scalar, offsets.rows(weights.count(), 1), stream);
  cuda::grouped_linear_weight_gradient(d.rows, q, offsets, weights.down.gradient, workspace, stream);
  cuda::grouped_linear_weight_gradient(ab, x, offsets, weights.gate_up.gradient, workspace, stream);
  cuda::grouped_linear_input_gradient(ab, weights.gate_up.value, offsets, dx.rows, workspace, stream);
}

void shared_forward(const DeviceExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& out,
                    Arena& arena, const Stream& stream) {
  if (x.extent(0) == 0) return;
  ArenaScope scratch(arena);
  const Tensor m = arena.make(x.dtype(), {x.extent(0), weights.down.value.extent(2)});
  const Tensor workspace = dense_workspace_of(weights, x.extent(0), arena);
  cuda::linear(x, weights.gate_up.value[0], ab, workspace, stream);
  cuda::swiglu(ab, m, {}, stream);
  cuda::linear(m, weights.down.value[0], out, workspace, stream);
}

void shared_backward(const DeviceExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& d,
                     const Tensor& dx, Arena& arena, const Stream& stream) {
  if (x.extent(0) == 0) return;
  ArenaScope scratch(arena);
  const Tensor q = arena.make(x.dtype(), {x.extent(0), weights.down.value.extent(2)});
  const Tensor one = arena.make<float>({x.extent(0)}), unused = arena.make<float>({x.extent(0)});
  const Tensor workspace = dense_workspace_of(weights, x.extent(0), arena);
  fill(one, 1, stream);
  cuda::linear_input_gradient(d, weights.down.value[0], 0, q, workspace, stream);
  cuda::swiglu_backward(ab, q, one, ab, q, unused, {}, stream);
  cuda::linear_weight_gradient(d, q, weights.down.gradient[0], workspace, stream);
  cuda::linear_weight_gradient(ab, x, weights.gate_up.gradient[0], workspace, stream);
  cuda::linear_input_gradient(ab, weights.gate_up.value[0], 0, dx, workspace, stream);
}

}  // namespace coe
