#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace coe {

/// What to do about a call that does not end; gets "<what> did not end within 60 s". Called from a thread of its own
/// while the call goes on.
using OnHang = std::function<void(const std::string& sentence)>;

/// Covers a call that blocks and cannot be polled: unless destroyed within `deadline` it calls `on_hang` once, which
/// may end the process; without one it writes the sentence to stderr.
class Watchdog {
 public:
  Watchdog(std::string what, std::chrono::milliseconds deadline, OnHang on_hang = {});
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch(const std::string& what, std::chrono::milliseconds deadline, const OnHang& on_hang);

  std::mutex mutex_;
  std::condition_variable ended_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace coe
