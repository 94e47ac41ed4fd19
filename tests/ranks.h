#pragma once

#include <functional>

#include "comm/transport.h"

namespace coe {

/// Runs `body` on every rank of jobs of 1, 2, 4 and 7 ranks, one job after the other. Started plainly, ranks are
/// threads; started under mpirun they are processes, the first of the world for each job (jobs of more ranks than the
/// world are left out), and every process runs the same tests in the same order.
///
/// Assertions count on every rank. Where a rank throws or fails an ASSERT, the other ranks' waits end: threads fail the
/// test; processes end the whole program after the message. Test suites that use this are named ...OnRanks, which is
/// how the runs under mpirun find them.
void for_each_ranks(const std::function<void(Transport&)>& body);

/// The same for one number of ranks.
void on_ranks(int ranks, const std::function<void(Transport&)>& body);

/// True where ranks are processes: a rank's failure takes the program down.
bool ranks_are_processes();

/// Lends the harness the world that jobs are split from; nullptr takes it back. For main.
void lend_world(Transport* world);

}  // namespace coe
