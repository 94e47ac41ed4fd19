#pragma once

#include <cstdint>
#include <span>

#include "comm/group.h"
#include "runtime/ranks/stop.h"

namespace coe {

/// How many bytes of a file are looked through when it is opened, before there are ranks to share the work.
inline constexpr std::int64_t kLookedThrough = std::int64_t{64} << 20;

/// What is known of a token beside its number, in bits.
enum TokenMark : std::uint8_t {
  kBegins = 1,    ///< a document of its own begins with it: what stands before it says nothing about it
  kUncounted = 2  ///< the loss on it as a label does not count
};

/// A finite run of tokens in memory or in a mapped file. Thread-safe once complete() has returned.
class TokenArray {
 public:
  virtual ~TokenArray() = default;
  virtual std::int64_t size() const = 0;
  /// Fills `tokens` with those from `first` on, all of which must lie inside, and `marks`, as many or none, with
  /// theirs. Throws kBadInput for what was too much to be looked at on opening and turns out to be wrong.
  virtual void copy(std::int64_t first, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const = 0;
  /// Whether any token may have a mark.
  virtual bool marked() const { return false; }
  /// Whether size() and copy() can be asked for.
  virtual bool is_complete() const { return true; }
  /// Makes it so: each rank goes through its share of the file. Collective; throws kBadInput on every rank alike, and
  /// Stopped soon after `asked` is true on any.
  virtual void complete(const Group&, const StopAsked&) {}
};

}  // namespace coe
