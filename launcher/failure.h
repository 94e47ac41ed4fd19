#pragma once

#include <exception>
#include <functional>

#include "comm/transport.h"

namespace coe {

/// Says on stderr, in one line, why this process gives up before it has reached the other ranks of its job; returns its
/// exit code: 2 for bad input, 1 otherwise. What one rank of a machine finds, all ranks of it find: the first speaks.
int report_failure(const std::exception& error);

/// Runs `body` with this process's Transport: a rank of the job under mpirun or srun, else a job of one rank. A failure
/// that all ranks share is said by rank 0 and ends each of them; any other is said by the rank that has it, then told
/// to the rest, whose waits end. Returns the exit code. Collective.
int run_ranks(const std::function<void(Transport& world)>& body);

}  // namespace coe
