#include "comm/watchdog.h"

#include <cstdio>
#include <sstream>
#include <utility>

namespace coe {

Watchdog::Watchdog(std::string what, std::chrono::milliseconds deadline, OnHang on_hang)
    : thread_(
          [this, what = std::move(what), deadline, on_hang = std::move(on_hang)] { watch(what, deadline, on_hang); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

void Watchdog::watch(const std::string& what, std::chrono::milliseconds deadline, const OnHang& on_hang) {
  {
    std::unique_lock lock(mutex_);
    if (ended_.wait_for(lock, deadline, [this] { return over_; })) return;
  }
  std::ostringstream sentence;
  sentence << what << " did not end within " << std::chrono::duration<double>(deadline).count() << " s";
  if (on_hang) return on_hang(sentence.str());
  std::fprintf(stderr, "%s\n", sentence.str().c_str());
}

}  // namespace coe
