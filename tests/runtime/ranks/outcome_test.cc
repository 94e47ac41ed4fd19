#include "runtime/ranks/outcome.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "kernels/memory/error.h"

namespace coe {
namespace {

TEST(Outcome, WhatWasReturnedComesBack) {
  for (const std::string& result : {std::string(), std::string("f"), std::string("two\0parts", 9)}) {
    const std::string outcome = outcome_of([&] { return result; });
    EXPECT_FALSE(has_failed(outcome));
    EXPECT_EQ(result_of(outcome), result);
  }
}

TEST(Outcome, WhatWasThrownIsThrown) {
  const std::string outcome = outcome_of([]() -> std::string { fail(ErrorCode::kNonFinite, "step ", 3); });
  EXPECT_TRUE(has_failed(outcome));
  try {
    result_of(outcome);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
    EXPECT_STREQ(error.what(), "step 3");
  }
}

TEST(Outcome, OtherExceptionsAreTheSystems) {
  try {
    result_of(outcome_of([]() -> std::string { throw std::length_error("too long"); }));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_STREQ(error.what(), "too long");
  }
}

}  // namespace
}  // namespace coe
