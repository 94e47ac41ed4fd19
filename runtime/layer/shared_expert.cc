#include "runtime/layer/shared_expert.h"

#include "kernels/memory/copy.h"
#include "kernels/products/linear.h"
#include "kernels/products/swiglu.h"

namespace coe {

void SharedExpert::forward(const Tensor& x, std::int64_t length, const Tensor& ab, const Tensor& out,
                           Arena& arena) const {
  if (!x.on_host()) return forward_there(x, ab, out, arena);
  for (std::int64_t t = 0; t < x.extent(0); t += length) {
    expert_forward(weights_, x.rows(t, length), ab.rows(t, length), out.rows(t, length), arena);
  }
}

void SharedExpert::backward(const Tensor& x, std::int64_t length, const Tensor& ab, const Tensor& d, const Tensor& dx,
                            Arena& arena) const {
  if (!x.on_host()) return backward_there(x, ab, d, dx, arena);
  ArenaScope scratch(arena);
  const Tensor one = arena.make<float>({length}), unused = arena.make<float>({length});
  fill(one, 1, *stream_);
  for (std::int64_t t = 0; t < x.extent(0); t += length) {
    expert_backward(weights_, x.rows(t, length), ab.rows(t, length), d.rows(t, length), one, dx.rows(t, length), unused,
                    arena);
  }
}

void SharedExpert::forward_there(const Tensor& x, const Tensor& ab, const Tensor& out, Arena& arena) const {
  if (x.extent(0) == 0) return;
  ArenaScope scratch(arena);
  const Tensor m = arena.make(x.dtype(), {x.extent(0), weights_.down.extent(1)});
  linear(x, {weights_.gate_up, {}}, ab, arena, *stream_);
  cuda::swiglu(ab, m, {}, *stream_);
  linear(m, {weights_.down, {}}, out, arena, *stream_);
}

void SharedExpert::backward_there(const Tensor& x, const Tensor& ab, const Tensor& d, const Tensor& dx,
                                  Arena& arena) const {
  if (x.extent(0) == 0) return;
  ArenaScope scratch(arena);
  const Tensor q = arena.make(x.dtype(), {x.extent(0), weights_.down.extent(1)});
  const Tensor one = arena.make<float>({x.extent(0)}), unused = arena.make<float>({x.extent(0)});
  fill(one, 1, *stream_);
  linear_input_gradient(d, weights_.down, 0, q, arena, *stream_);
  cuda::swiglu_backward(ab, q, one, ab, q, unused, {}, *stream_);
  linear_weight_gradient(d, q, weights_.down_gradient, arena, *stream_);
  linear_weight_gradient(ab, x, weights_.gate_up_gradient, arena, *stream_);
  linear_input_gradient(ab, weights_.gate_up, 0, dx, arena, *stream_);
}

}  // namespace coe
