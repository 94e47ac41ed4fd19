#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace coe {

/// What the caller can do about an Error.
enum class ErrorCode {
  kBadInput,   ///< Correct the input (config, file, argument) and call again; the program exits with 2.
  kPeer,       ///< Another rank failed or did not answer before a deadline.
  kSystem,     ///< The operating system or a library refused: disk full, no memory, no permission.
  kNonFinite,  ///< A loss or a gradient is not finite.
  kInternal,   ///< A promise of this library is broken: a bug.
};

/// The one exception of this library; its message says where, what was found and what is allowed.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// Throws an Error whose message is `parts` written one after another.
template <class... Parts>
[[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(code, message.str());
}

/// Throws an Error of kBadInput unless `condition` holds: check(k <= n, "topk: k is ", k, ", experts is ", n).
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(ErrorCode::kBadInput, parts...);
}

}  // namespace coe
