#include "launcher/failure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "comm/collectives.h"
#include "comm/make_transport.h"
#include "kernels/memory/error.h"
#include "launcher/tell.h"

namespace coe {
namespace {

using namespace std::chrono_literals;

/// A launcher ends the other machines' ranks about a second after rank 0 has given up.
constexpr auto kRankZeroSpeaksFirst = 3s;
/// Ranks that fail alike do so within this time.
constexpr auto kSharedFailure = 500ms;

Error as_error(const std::exception& error) {
  if (const auto* own = dynamic_cast<const Error*>(&error)) return *own;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return {ErrorCode::kSystem, "memory is used up"};
  return {ErrorCode::kInternal, error.what()};
}

std::string one_line(std::string text) {
  for (char& letter : text)
    if (letter == '\n' || letter == '\r') letter = ' ';
  return text;
}

int exit_code(const Error& error) { return error.code() == ErrorCode::kBadInput ? 2 : 1; }

void say(const Error& error) { tell("coe: " + one_line(error.what())); }

/// Whether every rank of the job has come here. `failures` is used for nothing else, so nobody else's wait is
/// disturbed.
bool all_have_failed(Transport& failures) {
  try {
    barrier({&failures, kSharedFailure}, {.name = "a failure"});
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Whether all ranks fail alike, and thus end in order, each by itself.
bool is_shared(const Error& error, Transport& failures) {
  const bool alike = error.code() == ErrorCode::kBadInput || error.code() == ErrorCode::kNonFinite;
  return alike && all_have_failed(failures);
}

int end_rank(const Error& error, Transport& world, Transport& failures) {
  const bool shared = is_shared(error, failures);
  if (!shared || world.rank() == 0) say(error);
  if (!shared) world.abort(error);
  return exit_code(error);
}

int end_recorded_rank(const Error& error, Transport& world, Transport& failures, FlightRecorder& recorder) {
  const bool shared = is_shared(error, failures);
  if (shared && error.code() == ErrorCode::kBadInput) {
    recorder.remove();
    if (world.rank() == 0) say(error);
    return exit_code(error);
  }
  const std::string told = one_line(error.what());
  if (recorder.claim_failure(told))
    tell(fmt::format("coe: {}; coe inspect {} tells more", told, recorder.folder().string()));
  if (!shared) world.abort(error);
  return exit_code(error);
}

/// This process's rank of the job that a launcher has started, or a job of its own.
std::unique_ptr<Transport> make_world(std::chrono::milliseconds deadline) {
  const auto tell_line = [](const std::string& sentence) { tell("coe: " + sentence); };
  const auto end_process = [](const std::string& sentence) {
    tell("coe: " + sentence);
    _exit(1);
  };
  return make_transport(launched_by_mpi() ? "mpi" : "local",
                        {.deadline = deadline, .on_hang = end_process, .say = tell_line});
}

}  // namespace

int report_failure(const std::exception& error) {
  const Error failure = as_error(error);
  if (launched_by_mpi() && launched_local_rank() != 0) return exit_code(failure);
  if (launched_rank() != 0) std::this_thread::sleep_for(kRankZeroSpeaksFirst);
  say(failure);
  return exit_code(failure);
}

int run_ranks(const std::function<void(Transport& world)>& body) {
  const std::unique_ptr<Transport> world = make_world(kDefaultDeadline);
  const std::unique_ptr<Transport> failures = world->split(0, world->rank());
  try {
    body(*world);
    return 0;
  } catch (const std::exception& error) {
    return end_rank(as_error(error), *world, *failures);
  }
}

int run_recorded_ranks(const std::filesystem::path& folder,
                       const std::function<void(Transport& world, FlightRecorder& recorder)>& body,
                       std::chrono::milliseconds deadline) {
  const std::unique_ptr<Transport> world = make_world(deadline);
  if (world->rank() == 0) FlightRecorder::clear(folder);
  const std::unique_ptr<Transport> failures =
      world->split(0, world->rank());  // nobody leaves it before the folder is clear
  try {
    FlightRecorder recorder(folder, world->rank(), world->size());
    try {
      body(*world, recorder);
      recorder.remove();
      return 0;
    } catch (const std::exception& error) {
      return end_recorded_rank(as_error(error), *world, *failures, recorder);
    }
  } catch (const std::exception& error) {
    return end_rank(as_error(error), *world, *failures);
  }
}

}  // namespace coe
