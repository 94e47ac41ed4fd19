#include "launcher/failure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "comm/collectives.h"
#include "comm/launch.h"
#include "comm/make_transport.h"
#include "comm/rank_place.h"
#include "kernels/memory/error.h"
#include "launcher/meet.h"
#include "launcher/tell.h"

namespace coe {
namespace {

using namespace std::chrono_literals;

/// A launcher ends the other machines' ranks about a second after rank 0 has given up.
constexpr auto kRankZeroSpeaksFirst = 3s;
/// A rank that fails has ended its job after this time, where the launcher hears it.
constexpr auto kEndedByFirst = 4s;
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
  const bool alike = error.code() != ErrorCode::kPeer && error.code() != ErrorCode::kInternal;
  return alike && all_have_failed(failures);
}

int end_rank(const Error& error, Transport& world, Transport& failures) {
  const bool shared = is_shared(error, failures);
  if (!shared || world.rank() == 0) say(error);
  if (!shared) world.abort(error);
  return exit_code(error);
}

/// Of ranks that fail on their own the first speaks, and its abort ends the others. Where the launcher has lost its
/// host it hears neither, and the first of the hosts that have not spoken is next. One abort is enough: the launcher,
/// which may have asked this rank to end already, would not answer another.
bool speaks_for_job(const FlightRecorder& recorder, const std::string& told) {
  std::signal(SIGTERM, SIG_DFL);  // the launcher's, whatever it meant to this rank so far
  const std::string host = own_place().host.data();
  for (int number = 0;; ++number) {
    const FailureClaim claim = recorder.claim_failure(told, number);
    if (claim.own || claim.host == host) return claim.own;
    std::this_thread::sleep_for(kEndedByFirst);
  }
}

int end_recorded_rank(const Error& error, Transport& world, Transport& failures, FlightRecorder& recorder) {
  const bool shared = is_shared(error, failures);
  if (shared && error.code() == ErrorCode::kBadInput) {
    recorder.remove();
    if (world.rank() == 0) say(error);
    return exit_code(error);
  }
  const std::string told = one_line(error.what());
  const bool speaks = shared ? recorder.claim_failure(told).own : speaks_for_job(recorder, told);
  if (speaks) tell(fmt::format("coe: {}; coe inspect {} tells more", told, recorder.folder().string()));
  if (!shared && !speaks) _exit(exit_code(error));
  if (!shared) world.abort(error);
  return exit_code(error);
}

/// Why a process cannot join its job.
struct NotJoined : Error {
  using Error::Error;
};

/// The job that this process belongs to, and a group of the same ranks for their failures.
struct Job {
  /// Throws NotJoined.
  explicit Job(std::chrono::milliseconds deadline) {
    const auto tell_line = [](const std::string& sentence) { tell("coe: " + sentence); };
    const auto end_process = [](const std::string& sentence) {
      tell("coe: " + sentence);
      _exit(1);
    };
    try {
      world = join_job({.deadline = deadline, .on_hang = end_process, .say = tell_line});
      failures = world->split(0, world->rank());
    } catch (const Error& error) {
      throw NotJoined(error.code(), error.what());
    }
  }
  std::unique_ptr<Transport> world, failures;
};

/// Tells the job, which this process has not joined before, and ends with it. Throws NotJoined.
int fail_together(const Error& failure) {
  const Job job(kDefaultDeadline);
  try {
    meet_with_failure(*job.world, failure);
  } catch (const std::exception& first) {
    return end_rank(as_error(first), *job.world, *job.failures);
  }
}

/// Ends a process that its job does not hear.
int fail_alone(const Error& failure, bool shared) {
  const Launch launch = launch_in_environment();
  if (launch.local_rank != 0 || (shared && launch.rank != 0)) return exit_code(failure);
  if (launch.rank != 0) std::this_thread::sleep_for(kRankZeroSpeaksFirst);
  say(failure);
  return exit_code(failure);
}

/// While it lives, what the world itself waits for is recorded, too.
class Recording {
 public:
  Recording(Transport& world, FlightRecorder& recorder) : world_(world) { world_.record_by(&recorder); }
  ~Recording() { world_.record_by(nullptr); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

 private:
  Transport& world_;
};

}  // namespace

int report_failure(const std::exception& error) {
  const Error failure = as_error(error);
  // Launchers that MPI does not meet, and a program without MPI, keep every rank alike from the job.
  const bool not_joined = dynamic_cast<const NotJoined*>(&error) != nullptr;
  if (not_joined || !launched_by_mpi()) return fail_alone(failure, failure.code() == ErrorCode::kBadInput);
  try {
    return fail_together(failure);
  } catch (const NotJoined&) {
    return fail_alone(failure, false);
  }
}

int run_ranks(const RunFacts& facts, const std::function<void(Transport& world)>& body) {
  const Job job(kDefaultDeadline);
  try {
    meet(*job.world, facts);
    body(*job.world);
    return 0;
  } catch (const std::exception& error) {
    return end_rank(as_error(error), *job.world, *job.failures);
  }
}

int run_recorded_ranks(const RunFacts& facts, const std::function<std::filesystem::path(Transport& world)>& open,
                       const std::function<void(Transport& world, FlightRecorder& recorder)>& body,
                       std::chrono::milliseconds deadline) {
  const Job job(deadline);
  Transport &world = *job.world, &failures = *job.failures;
  try {
    meet(world, facts);
    const std::filesystem::path folder = open(world);
    if (world.rank() == 0) FlightRecorder::clear(folder);
    barrier({&world}, {.name = "clearing the flight files"});  // nobody makes its own before
    FlightRecorder recorder(folder, world.rank(), world.size());
    const Recording recording(world, recorder);
    try {
      body(world, recorder);
      recorder.remove();
      return 0;
    } catch (const std::exception& error) {
      return end_recorded_rank(as_error(error), world, failures, recorder);
    }
  } catch (const std::exception& error) {
    return end_rank(as_error(error), world, failures);
  }
}

}  // namespace coe
