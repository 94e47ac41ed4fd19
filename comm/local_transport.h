#pragma once

#include <chrono>
#include <memory>

#include "comm/local_hub.h"
#include "comm/transport.h"

namespace coe {

/// The one rank of a job of its own.
std::unique_ptr<Transport> make_lone_transport(std::chrono::milliseconds deadline = kDefaultDeadline);

}  // namespace coe
