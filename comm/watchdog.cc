#include "comm/watchdog.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace coe {

Watchdog::Watchdog(std::string what, std::chrono::milliseconds deadline)
    : thread_([this, what = std::move(what), deadline] { watch(what, deadline); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

void Watchdog::watch(const std::string& what, std::chrono::milliseconds deadline) {
  std::unique_lock lock(mutex_);
  if (ended_.wait_for(lock, deadline, [this] { return over_; })) return;
  std::fprintf(stderr, "%s did not end within %g s\n", what.c_str(), std::chrono::duration<double>(deadline).count());
  std::fflush(stderr);
  _exit(1);
}

}  // namespace coe
