#include "runtime/routing/expert_groups.h"

#include <algorithm>

#include "kernels/routing/topk.h"
#include "runtime/routing/router.h"

namespace coe {
namespace {

float sum_of_two_best(const float* ranking, std::int64_t experts) {
  if (experts == 1) return ranking[0];
  float best = std::max(ranking[0], ranking[1]), second = std::min(ranking[0], ranking[1]);
  for (std::int64_t e = 2; e < experts; ++e) {
    second = std::max(second, std::min(best, ranking[e]));
    best = std::max(best, ranking[e]);
  }
  return best + second;
}

}  // namespace

void keep_best_groups(const Tensor& ranking, std::int64_t groups, std::int64_t kept, Arena& arena) {
  if (kept == groups) return;
  ArenaScope scratch(arena);
  const std::int64_t tokens = ranking.extent(0), each = ranking.extent(1) / groups;
  const Tensor worth = arena.make<float>({tokens, groups});
  const Tensor best = arena.make<std::int32_t>({tokens, kept});
  auto* row = ranking.data<float>();
  for (std::int64_t i = 0; i < tokens * groups; ++i) worth.data<float>()[i] = sum_of_two_best(row + i * each, each);
  topk(worth, best);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int32_t* next = best.data<std::int32_t>() + t * kept;
    const std::int32_t* end = next + kept;
    for (std::int32_t g = 0; g < groups; ++g, row += each) {
      const bool open = next != end && *next == g;
      next += open ? 1 : 0;
      if (!open) std::fill_n(row, each, kClosed);
    }
  }
}

}  // namespace coe
