#include "runtime/layer/thread_team.h"

#include <omp.h>

#include <exception>
#include <mutex>

namespace coe {
namespace {

/// The first exception of a team: none may leave the region that OpenMP runs.
class FirstFailure {
 public:
  void keep(std::exception_ptr failure) {
    const std::scoped_lock lock(mutex_);
    if (first_ == nullptr) first_ = std::move(failure);
  }
  void rethrow() const {
    if (first_ != nullptr) std::rethrow_exception(first_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr first_;
};

}  // namespace

void run_team(int threads, const std::function<void(int thread)>& body) {
  if (threads == 1) return body(0);
  FirstFailure failure;
#pragma omp parallel num_threads(threads)
  {
    try {
      body(omp_get_thread_num());
    } catch (...) {
      failure.keep(std::current_exception());
    }
  }
  failure.rethrow();
}

}  // namespace coe
