#pragma once

#include <optional>

#include "kernels/memory/error.h"

namespace coe {

/// The code of the Error that `work` throws, none where it throws nothing.
template <class Work>
std::optional<ErrorCode> thrown_code(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

}  // namespace coe
