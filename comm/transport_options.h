#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>

#include "comm/transport.h"
#include "comm/watchdog.h"

namespace coe {

/// How a launched backend starts.
struct TransportOptions {
  std::chrono::milliseconds deadline = kDefaultDeadline;  ///< The Transport's own: see Transport::deadline().
  OnHang on_hang;                               ///< For calls of a library that cannot be polled, such as MPI_Init.
  std::function<void(const std::string&)> say;  ///< Gets a sentence that is worth knowing, on one rank of the job.

  /// How long the set-up of the job may take, and its end: thousands of ranks, or busy machines, need longer than any
  /// wait within it.
  std::chrono::milliseconds set_up() const { return std::max(deadline, kDefaultDeadline); }
};

}  // namespace coe
