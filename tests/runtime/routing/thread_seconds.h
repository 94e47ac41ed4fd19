#pragma once

#include <algorithm>
#include <ctime>

namespace coe {

/// Seconds that work() takes of this thread's time, whatever else the machine does: the least of five.
template <class Work>
double thread_seconds(const Work& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  double least = 1e9;
  for (int round = 0; round < 5; ++round) {
    const double begin = now();
    work();
    least = std::min(least, now() - begin);
  }
  return least;
}

}  // namespace coe
