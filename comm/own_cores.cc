#include "comm/own_cores.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <numeric>

#include "comm/collectives.h"

namespace coe {
namespace {

/// The processors that have not been dealt yet.
class Deal {
 public:
  explicit Deal(std::span<const std::vector<int>> cores) : cores_(cores), left_(cores.begin(), cores.end()) {}

  OwnCores take(const std::vector<int>& allowed, int threads) {
    OwnCores own;
    const auto wanted = static_cast<std::size_t>(threads);
    for (std::size_t c = 0; c < cores_.size() && own.processors.size() < wanted; ++c) {
      if (left_[c].size() == cores_[c].size() && take_of(c, allowed, own)) ++own.cores;
    }
    for (std::size_t c = 0; c < cores_.size(); ++c) {
      while (own.processors.size() < wanted && take_of(c, allowed, own)) continue;
    }
    return own;
  }

 private:
  /// One processor of core `c`, where one is left that is allowed.
  bool take_of(std::size_t c, const std::vector<int>& allowed, OwnCores& own) {
    const auto found = std::ranges::find_first_of(left_[c], allowed);
    if (found == left_[c].end()) return false;
    own.processors.push_back(*found);
    left_[c].erase(found);
    return true;
  }

  std::span<const std::vector<int>> cores_;
  std::vector<std::vector<int>> left_;
};

std::vector<int> numbers_of(std::span<const std::byte> bytes) {
  std::vector<int> numbers(bytes.size() / sizeof(int));
  if (!bytes.empty()) std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

}  // namespace

std::vector<OwnCores> deal_cores(std::span<const std::vector<int>> cores, std::span<const std::vector<int>> allowed,
                                 int threads) {
  std::vector<std::size_t> order(allowed.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t rank) { return allowed[rank].size(); });
  Deal deal(cores);
  std::vector<OwnCores> ranks(allowed.size());
  bool enough = true;
  for (const std::size_t rank : order) {
    ranks[rank] = deal.take(allowed[rank], threads);
    enough = enough && std::ssize(ranks[rank].processors) == threads;
  }
  for (OwnCores& rank : ranks) {
    if (!enough) rank.processors.clear();
  }
  return ranks;
}

OwnCores own_cores(const Topology& topology, Transport& world, int threads) {
  constexpr Phase kPhase{"dealing cores"};
  const std::vector<int> mine = topology.binding();
  const auto bindings = all_gather_bytes({&world}, std::as_bytes(std::span(mine)), kPhase);
  // Ranks that can map one another's memory are those of one machine.
  const std::unique_ptr<Window> window = world.make_window(1);
  std::vector<std::vector<int>> allowed;
  std::size_t place = 0;
  for (int peer = 0; peer < world.size(); ++peer) {
    if (window->of(peer) == nullptr) continue;
    if (peer == world.rank()) place = allowed.size();
    allowed.push_back(numbers_of(bindings[static_cast<std::size_t>(peer)]));
  }
  return deal_cores(topology.cores(), allowed, threads)[place];
}

}  // namespace coe
