#include "tests/ranks.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "comm/collectives.h"
#include "comm/make_transport.h"

namespace coe {
namespace {

/// What main lends; GoogleTest hands test bodies no arguments.
Transport* lent_world = nullptr;

void run_body(Transport& transport, const std::function<void(Transport&)>& body) {
  SCOPED_TRACE("rank " + std::to_string(transport.rank()) + " of " + std::to_string(transport.size()));
  body(transport);
  // A rank that left its body early would let the others wait for it.
  if (testing::Test::HasFatalFailure()) fail(ErrorCode::kInternal, "an ASSERT failed");
}

/// Takes the job down after saying why.
void end_job(Transport& world, const Error& error) {
  std::fprintf(stderr, "rank %d: %s\n", world.rank(), error.what());
  std::fflush(nullptr);
  world.abort(error);
}

void run_on_processes(Transport& world, int ranks, const std::function<void(Transport&)>& body) {
  if (ranks > world.size()) return;
  try {
    const bool takes_part = world.rank() < ranks;
    const std::unique_ptr<Transport> group = world.split(takes_part ? 0 : 1, world.rank());
    if (takes_part) run_body(*group, body);
    barrier({&world}, {.name = "the end of a test"});
  } catch (const Error& error) {
    end_job(world, error);
  } catch (const std::exception& error) {
    end_job(world, Error(ErrorCode::kInternal, error.what()));
  }
}

}  // namespace

void on_ranks(int ranks, const std::function<void(Transport&)>& body) {
  if (lent_world != nullptr) {
    run_on_processes(*lent_world, ranks, body);
  } else {
    run_local_ranks(ranks, [&](Transport& transport) { run_body(transport, body); });
  }
}

void for_each_ranks(const std::function<void(Transport&)>& body) {
  for (const int ranks : {1, 2, 4, 7}) on_ranks(ranks, body);
}

bool ranks_are_processes() { return lent_world != nullptr; }

void lend_world(Transport* world) { lent_world = world; }

}  // namespace coe
