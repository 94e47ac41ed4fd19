#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "comm/collectives.h"
#include "comm/make_transport.h"

namespace {

constexpr coe::Phase kPhase{.name = "dispatch", .layer = 3, .iteration = 1};

/// Rank 1 fails in the way that `how` says while the others wait for it.
void run(coe::Transport& transport, std::string_view how) {
  using namespace std::chrono_literals;
  coe::Group group{&transport, how == "silent" ? 500ms : 60'000ms};
  coe::barrier(group, kPhase);
  if (transport.rank() == 1) {
    if (how == "internal") coe::fail(coe::ErrorCode::kInternal, "plan: rows do not add up");
    if (how == "bad_input") coe::check(false, "config: top_k is 9, experts are 8");
    if (how == "exception") throw std::runtime_error("no such file");
    if (how == "killed") raise(SIGKILL);
    if (how == "silent") sleep(30);
  }
  coe::barrier(group, kPhase);
}

/// As a program would: the message first, then the end of all ranks.
int run_and_report(std::string_view how) {
  const std::unique_ptr<coe::Transport> transport = coe::make_transport("mpi");
  try {
    run(*transport, how);
    return 0;
  } catch (const coe::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    transport->abort(error);
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_and_report(argc > 1 ? argv[1] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
