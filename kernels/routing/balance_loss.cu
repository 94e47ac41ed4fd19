#include "kernels/routing/balance_loss.h"

#include "kernels/routing/token_row.cuh"

namespace coe::cuda {
namespace {

__global__ void scale_kernel(const std::int32_t* counts, double scale, const double* coeff, std::int64_t n,
                             float* factor) {
  if (coeff != nullptr) scale = *coeff * scale;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    factor[i] = static_cast<float>(scale * counts[i]);
  }
}

/// partial[part] = the loss of tokens part, part + kLossParts, ...
__global__ void loss_kernel(Scores scores, BalanceRows factor, double z_scale, std::int64_t tokens, std::int64_t n,
                            double* partial) {
  __shared__ double lanes[kWarp];
  double sum = 0;
  for (std::int64_t token = blockIdx.x; token < tokens; token += kLossParts) {
    const float* row = factor.rows == nullptr ? nullptr : factor.rows + token / factor.tokens_per_row * n;
    for (std::int64_t i = threadIdx.x; i < n && row != nullptr; i += blockDim.x) {
      const double divisor = scores.sum == nullptr ? 1.0 : scores.sum[token];
      sum += static_cast<double>(row[i]) * scores.score[token * n + i] / divisor;
    }
    if (threadIdx.x == 0 && z_scale != 0) sum += z_scale * scores.logsumexp[token] * scores.logsumexp[token];
  }
  sum = block_sum(sum, lanes);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void add_loss_kernel(const double* partial, double* loss) {
  double sum = 0;
  for (int part = 0; part < kLossParts; ++part) sum += partial[part];
  *loss += sum;
}

}  // namespace

void scale_counts(const Tensor& counts, double scale, const Tensor& coeff, const Tensor& factor, const Stream& stream) {
  expect_shape("scale_counts: factor", factor, counts.shape());
  launch("scale_counts", scale_kernel, {blocks_for(counts.elements(), kRowThreads), kRowThreads}, stream,
         counts.data<std::int32_t>(), scale, pointer_or_null<double>(coeff), counts.elements(), factor.data<float>());
}

void add_balance_loss(const TopkScores& scores, const Tensor& factor, float z_scale, const Tensor& partial,
                      const Tensor& loss, const Stream& stream) {
  expect_rank("add_balance_loss: score", scores.score, 2);
  expect_shape("add_balance_loss: partial", partial, {kLossParts});
  const std::int64_t tokens = scores.score.extent(0);
  launch("add_balance_loss", loss_kernel, {kLossParts, kRowThreads}, stream, scores_of(scores),
         balance_of(factor, tokens), z_scale, tokens, scores.score.extent(1), partial.data<double>());
  launch("add_balance_loss", add_loss_kernel, {1, 1}, stream, partial.data<double>(), loss.data<double>());
}

}  // namespace coe::cuda
