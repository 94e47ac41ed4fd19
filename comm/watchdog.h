#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace coe {

/// Covers a call that blocks and cannot be polled: unless destroyed within `deadline`, it writes "<what> did not end
/// within 60 s" to stderr and ends the process with exit code 1.
class Watchdog {
 public:
  Watchdog(std::string what, std::chrono::milliseconds deadline);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch(const std::string& what, std::chrono::milliseconds deadline);

  std::mutex mutex_;
  std::condition_variable ended_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace coe
