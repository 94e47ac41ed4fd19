#include "runtime/ranks/outcome.h"

#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr char kDone = 'd', kFailed = 'f';

std::string failure(ErrorCode code, const char* message) {
  return std::string{kFailed, static_cast<char>(code)} + message;
}

}  // namespace

// 'd' and the result, or 'f', the code and the message.
std::string outcome_of(const std::function<std::string()>& work) {
  try {
    return kDone + work();
  } catch (const Error& error) {
    return failure(error.code(), error.what());
  } catch (const std::exception& error) {
    return failure(ErrorCode::kSystem, error.what());
  }
}

bool has_failed(const std::string& outcome) { return outcome.front() == kFailed; }

std::string result_of(std::string outcome) {
  if (has_failed(outcome)) throw Error(static_cast<ErrorCode>(outcome[1]), outcome.substr(2));
  return outcome.erase(0, 1);
}

}  // namespace coe
