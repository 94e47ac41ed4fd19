#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <numeric>
#include <vector>

namespace coe {

/// The slow obvious way, in double: what tests compare with.
using Doubles = std::vector<double>;

/// w x for w [rows, x.size()].
inline Doubles slow_product(const Doubles& w, const Doubles& x) {
  Doubles y(w.size() / x.size(), 0.0);
  for (std::size_t i = 0; i < w.size(); ++i) y[i / x.size()] += w[i] * x[i % x.size()];
  return y;
}

inline double slow_dot(const Doubles& a, const Doubles& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

inline double slow_logsumexp(const Doubles& logits) {
  double sum = 0;
  for (const double z : logits) sum += std::exp(z);
  return std::log(sum);
}

inline Doubles slow_softmax(Doubles logits) {
  const double logsumexp = slow_logsumexp(logits);
  for (double& z : logits) z = std::exp(z - logsumexp);
  return logits;
}

inline Doubles slow_sigmoid(Doubles logits) {
  for (double& z : logits) z = 1 / (1 + std::exp(-z));
  return logits;
}

/// Each over the sum of all.
inline Doubles slow_shares(Doubles x) {
  const double sum = std::accumulate(x.begin(), x.end(), 0.0);
  for (double& each : x) each /= sum;
  return x;
}

/// The indices of the k largest, ascending.
inline std::vector<std::size_t> slow_topk(const Doubles& scores, std::size_t k) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  order.resize(k);
  std::ranges::sort(order);
  return order;
}

/// down (silu(gate x) * (up x)), gate and up [F, D], down [D, F].
inline Doubles slow_swiglu(const Doubles& gate, const Doubles& up, const Doubles& down, const Doubles& x) {
  const Doubles a = slow_product(gate, x), b = slow_product(up, x);
  Doubles m(a.size());
  for (std::size_t i = 0; i < m.size(); ++i) m[i] = a[i] / (1 + std::exp(-a[i])) * b[i];
  return slow_product(down, m);
}

/// x / sqrt(mean(x^2) + eps) * weight
inline Doubles slow_rms_norm(Doubles x, const Doubles& weight, double eps) {
  const double rms = std::sqrt(slow_dot(x, x) / static_cast<double>(x.size()) + eps);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= weight[i] / rms;
  return x;
}

/// Elements [index * width, (index + 1) * width).
inline Doubles slow_row(const Doubles& x, std::size_t width, std::size_t index) {
  const auto first = x.begin() + static_cast<std::ptrdiff_t>(index * width);
  return {first, first + static_cast<std::ptrdiff_t>(width)};
}

/// The gradient of `f` at `x` by central differences; good to about 1e-9.
inline Doubles slow_gradient(const std::function<double(const Doubles&)>& f, Doubles x) {
  constexpr double kStep = 1e-5;
  Doubles gradient;
  for (double& coordinate : x) {
    const double here = coordinate;
    coordinate = here + kStep;
    const double above = f(x);
    coordinate = here - kStep;
    const double below = f(x);
    coordinate = here;
    gradient.push_back((above - below) / (2 * kStep));
  }
  return gradient;
}

}  // namespace coe
