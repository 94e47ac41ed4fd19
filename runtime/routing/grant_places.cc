#include "runtime/routing/grant_places.h"

#include <algorithm>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// One expert's column of the table of counts.
class Column {
 public:
  Column(const Tensor& counts, std::int64_t expert)
      : first_(counts.data<std::int32_t>() + expert), stride_(counts.extent(1)), ranks_(counts.extent(0)) {}
  std::int32_t& operator[](std::int64_t rank) const { return first_[rank * stride_]; }
  std::int64_t before(std::int64_t rank) const {
    std::int64_t sum = 0;
    for (std::int64_t r = 0; r < rank; ++r) sum += (*this)[r];
    return sum;
  }
  std::int64_t total() const { return before(ranks_); }
  std::int64_t ranks() const { return ranks_; }

 private:
  std::int32_t* first_;
  std::int64_t stride_, ranks_;
};

/// Calls visit(expert, n, j) for every ask j in token order, n counting the asks for that expert from 0.
template <class Visit>
void for_each_ask(const Asks& asks, std::int64_t experts, Arena& arena, const Visit& visit) {
  ArenaScope scratch(arena);
  auto* seen = arena.zeros<std::int32_t>({experts}).data<std::int32_t>();
  const auto* expert = asks.expert.data<std::int32_t>();
  for (std::int64_t j = 0; j < asks.expert.elements(); ++j) visit(expert[j], seen[expert[j]]++, j);
}

void grant_by_position(std::span<const std::int64_t> room, const Asks& asks, const Tensor& counts, int rank,
                       Arena& arena) {
  ArenaScope scratch(arena);
  const std::int64_t experts = counts.extent(1);
  auto* mine = arena.make<std::int64_t>({experts}).data<std::int64_t>();
  for (std::int64_t e = 0; e < experts; ++e) {
    const Column column(counts, e);
    std::int64_t left = room[static_cast<std::size_t>(e)];
    mine[e] = left - column.before(rank);
    for (std::int64_t r = 0; r < column.ranks(); ++r) {
      const std::int64_t taken = std::min<std::int64_t>(column[r], left);
      column[r] = static_cast<std::int32_t>(taken);
      left -= taken;
    }
  }
  auto* granted = asks.granted.data<std::uint8_t>();
  for_each_ask(asks, experts, arena,
               [&](std::int64_t e, std::int64_t n, std::int64_t j) { granted[j] = n < mine[e] ? 1 : 0; });
}

/// The scores of every contested expert's choices over all ranks, and where they begin.
struct ContestedScores {
  Tensor begin;   ///< int64 [R, N]: of (rank, expert) in `scores`; -1 where the expert has room for all
  Tensor scores;  ///< fp32, by (rank, expert, token)
};

ContestedScores gather_contested(std::span<const std::int64_t> room, const Asks& asks, const Tensor& counts,
                                 Group group, const Phase& phase, Arena& arena) {
  const std::int64_t ranks = counts.extent(0), experts = counts.extent(1);
  ContestedScores contested{arena.make<std::int64_t>({ranks, experts}), {}};
  const auto send_counts = arena.zeros<std::int64_t>({ranks}).span<std::int64_t>();
  const auto receive_counts = arena.zeros<std::int64_t>({ranks}).span<std::int64_t>();
  std::int64_t total = 0;
  for (std::int64_t r = 0; r < ranks; ++r) {
    for (std::int64_t e = 0; e < experts; ++e) {
      const Column column(counts, e);
      const bool crowded = column.total() > room[static_cast<std::size_t>(e)];
      contested.begin.data<std::int64_t>()[r * experts + e] = crowded ? total : -1;
      if (crowded) total += column[r];
      if (crowded) receive_counts[static_cast<std::size_t>(r)] += column[r];
    }
  }
  contested.scores = arena.make<float>({total});
  if (total == 0) return contested;

  const std::int64_t mine = receive_counts[static_cast<std::size_t>(group.rank())];
  std::ranges::fill(send_counts, mine);
  const auto send = arena.make<float>({mine * ranks}).span<float>();
  const auto* begin = contested.begin.data<std::int64_t>() + group.rank() * experts;
  const std::int64_t first = *std::find_if(begin, begin + experts, [](std::int64_t at) { return at >= 0; });
  for_each_ask(asks, experts, arena, [&](std::int64_t e, std::int64_t n, std::int64_t j) {
    if (begin[e] >= 0) send[static_cast<std::size_t>(begin[e] - first + n)] = asks.score.data<float>()[j];
  });
  for (std::int64_t r = 1; r < ranks; ++r) std::copy_n(send.begin(), mine, send.begin() + r * mine);
  const auto as_sizes = [](std::span<std::int64_t> counts64) {
    return std::span(reinterpret_cast<const std::size_t*>(counts64.data()), counts64.size());
  };
  all_to_all<float>(group, send, as_sizes(send_counts), contested.scores.span<float>(), as_sizes(receive_counts),
                    phase);
  return contested;
}

/// An ask for a contested expert.
struct Contender {
  float score;
  std::int32_t rank, number;
  /// The larger score wins; on a tie the earlier token in global order.
  bool operator<(const Contender& other) const {
    if (score != other.score) return score > other.score;
    return rank != other.rank ? rank < other.rank : number < other.number;
  }
};

void grant_by_probability(std::span<const std::int64_t> room, const Asks& asks, const Tensor& counts, Group group,
                          const Phase& phase, Arena& arena) {
  ArenaScope scratch(arena);
  std::ranges::fill(asks.granted.span<std::uint8_t>(), std::uint8_t{1});
  const ContestedScores contested = gather_contested(room, asks, counts, group, phase, arena);
  if (contested.scores.elements() == 0) return;
  const std::int64_t experts = counts.extent(1);
  // grants[begin + n] answers for ask n of a (rank, expert), beside its score.
  const auto grants = arena.zeros<std::uint8_t>({contested.scores.elements()}).span<std::uint8_t>();
  const auto* begin = contested.begin.data<std::int64_t>();
  for (std::int64_t e = 0; e < experts; ++e) {
    if (begin[e] < 0) continue;
    const Column column(counts, e);
    ArenaScope one_expert(arena);
    const std::int64_t total = column.total();
    const Tensor memory = arena.make<std::uint8_t>({total * static_cast<std::int64_t>(sizeof(Contender))});
    const std::span contenders(reinterpret_cast<Contender*>(memory.raw()), static_cast<std::size_t>(total));
    std::size_t next = 0;
    for (std::int64_t r = 0; r < column.ranks(); ++r) {
      const float* scores = contested.scores.data<float>() + begin[r * experts + e];
      for (std::int32_t n = 0; n < column[r]; ++n) contenders[next++] = {scores[n], static_cast<std::int32_t>(r), n};
      column[r] = 0;
    }
    const std::int64_t places = room[static_cast<std::size_t>(e)];
    std::nth_element(contenders.begin(), contenders.begin() + places, contenders.end());
    for (const Contender& winner : contenders.first(static_cast<std::size_t>(places))) {
      ++column[winner.rank];
      grants[static_cast<std::size_t>(begin[winner.rank * experts + e] + winner.number)] = 1;
    }
  }
  const auto* mine = begin + group.rank() * experts;
  for_each_ask(asks, experts, arena, [&](std::int64_t e, std::int64_t n, std::int64_t j) {
    if (mine[e] >= 0) asks.granted.data<std::uint8_t>()[j] = grants[static_cast<std::size_t>(mine[e] + n)];
  });
}

}  // namespace

void grant_places(DropPolicy policy, std::span<std::int64_t> room, const Asks& asks, const Tensor& counts, Group group,
                  const Phase& phase, Arena& arena) {
  if (policy == DropPolicy::kPosition) {
    grant_by_position(room, asks, counts, group.rank(), arena);
  } else {
    grant_by_probability(room, asks, counts, group, phase, arena);
  }
  for (std::int64_t e = 0; e < counts.extent(1); ++e) room[static_cast<std::size_t>(e)] -= Column(counts, e).total();
}

}  // namespace coe
