#include "runtime/ranks/agree.h"

#include <span>

#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr char kDone = 'd', kFailed = 'f';

std::string failure(ErrorCode code, const char* message) {
  return std::string{kFailed, static_cast<char>(code)} + message;
}

/// 'd' and the result, or 'f', the code and the message.
std::string outcome_of(const std::function<std::string()>& work) {
  try {
    return kDone + work();
  } catch (const Error& error) {
    return failure(error.code(), error.what());
  } catch (const std::exception& error) {
    return failure(ErrorCode::kSystem, error.what());
  }
}

}  // namespace

std::vector<std::string> agree(Group group, const Phase& phase, const std::function<std::string()>& work) {
  const std::string mine = outcome_of(work);
  std::vector<std::string> results;
  for (const std::vector<std::byte>& bytes : all_gather_bytes(group, std::as_bytes(std::span(mine)), phase)) {
    results.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  for (const std::string& result : results) {
    if (result.front() == kFailed) throw Error(static_cast<ErrorCode>(result[1]), result.substr(2));
  }
  for (std::string& result : results) result.erase(0, 1);
  return results;
}

}  // namespace coe
