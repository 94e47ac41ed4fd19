#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/memory/error.h"

namespace coe {

/// The message of the kBadInput that `act` must throw; a test failure and "" where it does not.
template <class Act>
std::string bad_input(Act act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace coe
