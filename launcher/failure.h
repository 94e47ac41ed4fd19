#pragma once

#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>

#include "comm/flight_recorder.h"
#include "comm/transport.h"

namespace coe {

/// Says on stderr, in one line, why this process gives up before it has reached the other ranks of its job; returns its
/// exit code: 2 for bad input, 1 otherwise. What one rank of a machine finds, all ranks of it find: the first speaks.
int report_failure(const std::exception& error);

/// Runs `body` with this process's Transport: a rank of the job under mpirun or srun, else a job of one rank. A failure
/// that all ranks share is said by rank 0 and ends each of them; any other is said by the rank that has it, then told
/// to the rest, whose waits end. Returns the exit code. Collective.
int run_ranks(const std::function<void(Transport& world)>& body);

/// The same with a flight recorder, whose files lie in `folder` until the job ends in order or for bad input that all
/// ranks share. Of ranks that fail on their own the first speaks, saying where the files lie. `deadline` is the world's
/// own patience.
int run_recorded_ranks(const std::filesystem::path& folder,
                       const std::function<void(Transport& world, FlightRecorder& recorder)>& body,
                       std::chrono::milliseconds deadline = kDefaultDeadline);

}  // namespace coe
