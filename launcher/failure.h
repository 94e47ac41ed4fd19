#pragma once

#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>

#include "comm/flight_recorder.h"
#include "comm/transport.h"
#include "runtime/training/run_facts.h"

namespace coe {

/// Ends a process that fails before it meets the other ranks of its job: tells them, so that rank 0 says why, in one
/// line on stderr, and with the rank and its host unless all ranks fail alike. Where they cannot be told, the first
/// rank of the machine says it. Returns the exit code: 2 for bad input, 1 otherwise.
int report_failure(const std::exception& error);

/// Runs `body` with this process's Transport: a rank of the job under mpirun or srun, else a job of one rank. Before,
/// the ranks meet() with `facts`. A failure that all ranks share is said by rank 0 and ends each of them; any other is
/// said by the rank that has it, then told to the rest, whose waits end. Returns the exit code. Collective.
int run_ranks(const RunFacts& facts, const std::function<void(Transport& world)>& body);

/// The same with a flight recorder, whose files lie in the folder that `open`, which is collective, names before `body`
/// begins, until the job ends in order or for bad input that all ranks share. Of ranks that fail on their own the first
/// speaks, saying where the files lie, and another host's first where the launcher does not hear that one. `deadline`
/// is the world's own patience.
int run_recorded_ranks(const RunFacts& facts, const std::function<std::filesystem::path(Transport& world)>& open,
                       const std::function<void(Transport& world, FlightRecorder& recorder)>& body,
                       std::chrono::milliseconds deadline = kDefaultDeadline);

}  // namespace coe
