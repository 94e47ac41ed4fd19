#pragma once

#include "kernels/memory/arena.h"
#include "runtime/exchange/device_exchange.h"
#include "runtime/layer/device_chain_weights.h"

namespace coe {

/// The twin of Experts::forward: out = down(swiglu(gate_up(x))) for the rows [offsets[e], offsets[e + 1]) of each
/// expert e, read on the device. x, out [n, D], ab [n, 2 F] is kept for the backward.
void experts_forward(const DeviceExpertWeights& weights, const Tensor& x, const Tensor& offsets, const Tensor& ab,
                     const Tensor& out, Arena& arena, const Stream& stream);
/// The twin of Experts::backward: upstream rows d with mixing weights beside them; dx gets the gradients of the rows
/// and of the weights, and the experts' gradients add up. Consumes ab.
void experts_backward(const DeviceExpertWeights& weights, const Tensor& x, const Tensor& offsets, const Tensor& ab,
                      const DeviceRows& d, const DeviceRows& dx, Arena& arena, const Stream& stream);

/// The same for one feed-forward over all rows.
void shared_forward(const DeviceExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& out,
                    Arena& arena, const Stream& stream);
void shared_backward(const DeviceExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& d,
                     const Tensor& dx, Arena& arena, const Stream& stream);

}  // namespace coe
