#pragma once

#include <span>

#include "kernels/tensor.h"

namespace coe {

/// out[i] = x[index[i]]: x [T, D], index [n] int32, out [n, D].
void gather_rows(const Tensor& x, const Tensor& index, const Tensor& out);

/// sum[t] += sum over j in [offsets[t], offsets[t + 1]) of w[j] rows[j], in ascending j; a nullptr adds nothing. rows
/// [choices] point at D floats each, offsets [T + 1] int32, w [choices], sum [T, D]; w may be an empty tensor:
/// weight 1.
void combine_rows(std::span<const float* const> rows, const Tensor& offsets, const Tensor& w, const Tensor& sum);

/// y = beta y + x, element by element, same shapes; beta 0 or any number.
void add(const Tensor& x, float beta, const Tensor& y);

}  // namespace coe
