#pragma once

#include "kernels/tensor.h"

namespace coe {

/// out[i] = x[index[i]]: x [T, D], index [n] int32, out [n, D].
void gather_rows(const Tensor& x, const Tensor& index, const Tensor& out);

/// sum[t] += sum over j in [offsets[t], offsets[t + 1]) of w[j] rows[place[j]], in ascending j; place[j] < 0 adds
/// nothing. rows [n, D], offsets [T + 1] int32, place [choices] int32, w [choices], sum [T, D]; w may be an empty
/// tensor: weight 1.
void combine_rows(const Tensor& rows, const Tensor& offsets, const Tensor& place, const Tensor& w, const Tensor& sum);

/// y = beta y + x, element by element, same shapes; beta 0 or any number.
void add(const Tensor& x, float beta, const Tensor& y);

}  // namespace coe
