#include "launcher/failure.h"

#include <fmt/core.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "comm/make_transport.h"
#include "kernels/error.h"

namespace coe {
namespace {

/// The launcher ends a job within this time of its first rank's exit.
constexpr std::chrono::milliseconds kOthersSpeakFirst{500};

Error as_error(const std::exception& error) {
  if (const auto* own = dynamic_cast<const Error*>(&error)) return *own;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return {ErrorCode::kSystem, "memory is used up"};
  return {ErrorCode::kInternal, error.what()};
}

/// Whether another rank is likely to say it: its own failure that reached us, or one that all find alike.
bool others_may_speak(const Error& error) {
  if (!launched_by_mpi()) return false;
  const bool alike = error.code() == ErrorCode::kBadInput || error.code() == ErrorCode::kNonFinite;
  return error.code() == ErrorCode::kPeer || (alike && launched_rank() != 0);
}

std::string one_line(std::string text) {
  for (char& letter : text)
    if (letter == '\n' || letter == '\r') letter = ' ';
  return text;
}

}  // namespace

int report_failure(const std::exception& error) {
  const Error failure = as_error(error);
  if (others_may_speak(failure)) std::this_thread::sleep_for(kOthersSpeakFirst);
  fmt::print(stderr, "coe: {}\n", one_line(failure.what()));
  return failure.code() == ErrorCode::kBadInput ? 2 : 1;
}

int run_ranks(const std::function<void(Transport& world)>& body) {
  const std::unique_ptr<Transport> world = make_transport(launched_by_mpi() ? "mpi" : "local");
  try {
    body(*world);
    return 0;
  } catch (const std::exception& error) {
    const int code = report_failure(error);
    world->abort(as_error(error));
    return code;
  }
}

}  // namespace coe
