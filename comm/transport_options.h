#pragma once

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
};

}  // namespace coe
