#include "launcher/report/routing_statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace coe {
namespace {

struct Sums {
  std::vector<double> rows, columns;
  double all = 0;
};

Sums sums_of(std::span<const std::int64_t> pairs, std::size_t experts) {
  Sums sums{std::vector<double>(experts), std::vector<double>(experts)};
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto count = static_cast<double>(pairs[i]);
    sums.rows[i / experts] += count;
    sums.columns[i % experts] += count;
    sums.all += count;
  }
  return sums;
}

/// The first `most` by falling count; of equal ones those of the lower ids.
std::vector<ExpertPair> most_frequent(std::vector<ExpertPair> pairs, std::size_t most) {
  const std::size_t kept = std::min(most, pairs.size());
  std::ranges::stable_sort(pairs, std::ranges::greater{}, &ExpertPair::count);
  pairs.resize(kept);
  return pairs;
}

}  // namespace

LoadStatistics load_statistics(std::span<const std::int64_t> load) {
  LoadStatistics result;
  result.idle = std::ranges::count(load, 0);
  const auto sum = static_cast<double>(std::reduce(load.begin(), load.end()));
  if (sum == 0) return result;
  const double mean = sum / static_cast<double>(load.size());
  double squares = 0;
  for (const std::int64_t one : load) {
    const auto count = static_cast<double>(one);
    squares += (count - mean) * (count - mean);
    if (one > 0) result.entropy_bits -= count / sum * std::log2(count / sum);
  }
  result.max_over_mean = static_cast<double>(*std::ranges::max_element(load)) / mean;
  result.variation = std::sqrt(squares / static_cast<double>(load.size())) / mean;
  return result;
}

std::vector<ExpertPair> frequent_pairs(std::span<const std::int64_t> coactivation, std::size_t experts,
                                       std::int64_t tokens, std::size_t most) {
  std::vector<ExpertPair> pairs;
  const auto load = [&](std::size_t expert) { return static_cast<double>(coactivation[expert * experts + expert]); };
  for (std::size_t i = 0; i < experts; ++i) {
    for (std::size_t j = i + 1; j < experts; ++j) {
      const std::int64_t count = coactivation[i * experts + j];
      const double chance = load(i) * load(j) / static_cast<double>(tokens);
      if (count > 0) pairs.push_back({i, j, count, static_cast<double>(count) / chance});
    }
  }
  return most_frequent(std::move(pairs), most);
}

std::vector<double> expected_by_chance(std::span<const std::int64_t> transitions, std::size_t experts) {
  const Sums sums = sums_of(transitions, experts);
  std::vector<double> expected(transitions.size());
  if (sums.all == 0) return expected;
  for (std::size_t i = 0; i < transitions.size(); ++i)
    expected[i] = sums.rows[i / experts] * sums.columns[i % experts] / sums.all;
  return expected;
}

std::vector<ExpertPair> frequent_transitions(std::span<const std::int64_t> transitions, std::size_t experts,
                                             std::size_t most) {
  const std::vector<double> expected = expected_by_chance(transitions, experts);
  std::vector<ExpertPair> pairs;
  for (std::size_t i = 0; i < transitions.size(); ++i) {
    const auto count = static_cast<double>(transitions[i]);
    if (count > 0) pairs.push_back({i / experts, i % experts, transitions[i], count / expected[i]});
  }
  return most_frequent(std::move(pairs), most);
}

double mutual_information_bits(std::span<const std::int64_t> transitions, std::size_t experts) {
  const double all = sums_of(transitions, experts).all;
  const std::vector<double> expected = expected_by_chance(transitions, experts);
  double bits = 0;
  for (std::size_t i = 0; i < transitions.size(); ++i) {
    const auto count = static_cast<double>(transitions[i]);
    if (count > 0) bits += count / all * std::log2(count / expected[i]);
  }
  return bits;
}

}  // namespace coe
