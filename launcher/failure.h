#pragma once

#include <exception>
#include <functional>

#include "comm/transport.h"

namespace coe {

/// Says on stderr, in one line, why this process gives up; returns its exit code: 2 for bad input, 1 otherwise.
/// Failures that all ranks of a job find alike are said by rank 0; another rank speaks only when rank 0 lives on.
int report_failure(const std::exception& error);

/// Runs `body` with this process's Transport: a rank of the job under mpirun or srun, else a job of one rank. A failure
/// is said here first, then told to the other ranks, whose waits end. Returns the exit code.
int run_ranks(const std::function<void(Transport& world)>& body);

}  // namespace coe
