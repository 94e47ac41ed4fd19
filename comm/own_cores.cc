#include "comm/own_cores.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
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
  for (int each = threads; each >= 1; --each) {
    Deal deal(cores);
    std::vector<OwnCores> ranks(allowed.size());
    for (const std::size_t rank : order) ranks[rank] = deal.take(allowed[rank], each);
    const auto has_enough = [&](const OwnCores& rank) { return std::ssize(rank.processors) == each; };
    if (std::ranges::all_of(ranks, has_enough)) return ranks;
  }
  return std::vector<OwnCores>(allowed.size());
}

int threads_worth_having(const OwnCores& own, int threads) {
  return std::clamp(static_cast<int>(own.processors.size()), 1, threads);
}

OwnCores own_cores(const Topology& topology, Transport& world, int threads) {
  constexpr Phase kPhase{"dealing cores"};
  const std::vector<int> mine = topology.binding();
  const auto bindings = all_gather_bytes({&world}, std::as_bytes(std::span(mine)), kPhase);
  const std::span<const RankPlace> places = world.places();
  const auto place_of = [&](int rank) { return places[static_cast<std::size_t>(rank)]; };
  std::vector<std::vector<int>> allowed;
  std::size_t place = 0;
  for (int peer = 0; peer < world.size(); ++peer) {
    if (!places.empty() && !on_one_machine(place_of(peer), place_of(world.rank()))) continue;
    if (peer == world.rank()) place = allowed.size();
    allowed.push_back(numbers_of(bindings[static_cast<std::size_t>(peer)]));
  }
  return deal_cores(topology.cores(), allowed, threads)[place];
}

}  // namespace coe
