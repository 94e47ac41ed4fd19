#pragma once

#include <exception>
#include <functional>

#include "comm/group.h"

namespace coe {

/// Thrown on all ranks alike where the caller asked to stop; nothing is wrong.
class Stopped : public std::exception {
 public:
  const char* what() const noexcept override { return "stopped as asked for"; }
};

/// Whether this rank has been asked to stop.
using StopAsked = std::function<bool()>;

/// Whether any rank of the group has been. Collective.
bool agree_to_stop(const Group& group, const StopAsked& asked);
/// Throws Stopped then; does nothing where `asked`, which all ranks have or none, is empty. Collective.
void look_for_stop(const Group& group, const StopAsked& asked);

}  // namespace coe
