#include "launcher/bench/cold_timer.h"

#include <chrono>

namespace coe {
namespace {

constexpr Phase kPhase{"benchmark"};
/// More than the last-level cache of a socket has for a rank.
constexpr std::size_t kSweptBytes = 64U << 20U, kLine = 64;

}  // namespace

ColdTimer::ColdTimer(Group group) : group_(group), other_(kSweptBytes) {}

void ColdTimer::sweep() {
  for (std::size_t i = 0; i < other_.size(); i += kLine) ++other_[i];
}

double ColdTimer::time(const std::function<void()>& work) {
  sweep();
  barrier(group_, kPhase);
  const auto start = std::chrono::steady_clock::now();
  work();
  barrier(group_, kPhase);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  all_reduce_sum<double>(group_, {&seconds, 1}, kPhase);
  return seconds / group_.size();
}

}  // namespace coe
