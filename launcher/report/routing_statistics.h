#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace coe {

/// How evenly experts are loaded; zeros where nothing was chosen.
struct LoadStatistics {
  double max_over_mean = 0;
  double variation = 0;     ///< standard deviation over mean
  double entropy_bits = 0;  ///< of a choice; log2 N where all experts are chosen alike
  std::int64_t idle = 0;    ///< experts that nobody chose
};

LoadStatistics load_statistics(std::span<const std::int64_t> load);

/// How often one thing came with another, beside how often it would if the two had nothing to do with each other.
struct ExpertPair {
  std::size_t first = 0, second = 0;
  std::int64_t count = 0;
  double times_chance = 0;
};

/// The `most` most frequent pairs of different experts, [N, N] tokens that chose both, where `tokens` chose.
std::vector<ExpertPair> frequent_pairs(std::span<const std::int64_t> coactivation, std::size_t experts,
                                       std::int64_t tokens, std::size_t most);

/// [N, N] row sum * column sum / sum: what transitions [N, N] would be if a choice did not depend on the one before.
std::vector<double> expected_by_chance(std::span<const std::int64_t> transitions, std::size_t experts);
/// The `most` most frequent transitions.
std::vector<ExpertPair> frequent_transitions(std::span<const std::int64_t> transitions, std::size_t experts,
                                             std::size_t most);
/// What the expert that a choice came from tells of the one it goes to: 0 where they are independent.
double mutual_information_bits(std::span<const std::int64_t> transitions, std::size_t experts);

}  // namespace coe
