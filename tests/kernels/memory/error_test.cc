#include "kernels/memory/error.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

TEST(Check, ThrowsItsPartsAsOneSentence) {
  check(true, "never said");
  try {
    check(false, "topk: k is ", 9, ", experts is ", 8);
    FAIL() << "nothing thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_STREQ(error.what(), "topk: k is 9, experts is 8");
  }
}

TEST(Fail, ThrowsItsCode) {
  try {
    fail(ErrorCode::kPeer, "rank ", 3, " is gone");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPeer);
    EXPECT_STREQ(error.what(), "rank 3 is gone");
  }
}

}  // namespace
}  // namespace coe
