#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace coe {

/// Runs body(thread) on `threads` threads at once, thread 0 being the caller, and returns when all are done. Each
/// calling thread leads a team of its own, which stays the same from call to call while `threads` does; a team may turn
/// out smaller where OMP_THREAD_LIMIT says so. What the first body throws is thrown here once all have ended. Allocates
/// nothing once the team is there. Not to be nested.
void run_team(int threads, const std::function<void(int thread)>& body);

/// The same with a body of any size, which is viewed.
template <class Body>
void on_threads(int threads, const Body& body) {
  run_team(threads, std::cref(body));
}

/// One thread's walk along a list of tasks that all threads of a team walk along alike. Each task falls to whichever
/// thread is free first.
class TaskWalk {
 public:
  /// `next` begins at 0, is shared by the team and outlives the walk.
  explicit TaskWalk(std::atomic<std::int64_t>& next) : next_(next), mine_(next++) {}

  /// Whether the task that the walk now comes to falls to this thread.
  bool is_mine() {
    if (passed_++ != mine_) return false;
    mine_ = next_++;
    return true;
  }

 private:
  std::atomic<std::int64_t>& next_;
  std::int64_t mine_, passed_ = 0;
};

}  // namespace coe
