#include "runtime/files/json_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "kernels/memory/random.h"

namespace coe {
namespace {

namespace json = boost::json;

TEST(JsonText, NumbersAreWrittenAsPeopleWriteThem) {
  EXPECT_EQ(json_text(0.0161), "0.0161");
  EXPECT_EQ(json_text(1.6052901519531575E-2), "0.016052901519531575");
  EXPECT_EQ(json_text(2.0), "2.0");
  EXPECT_EQ(json_text(-0.0), "-0.0");
  EXPECT_EQ(json_text(1234567.5), "1234567.5");
  EXPECT_EQ(json_text(3e-4), "0.0003");
  EXPECT_EQ(json_text(1e-8), "1e-08");
  EXPECT_EQ(json_text(std::int64_t{-7}), "-7");
  EXPECT_EQ(json_text(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
}

TEST(JsonText, NumbersReadBackToTheSameBits) {
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    const auto number = std::bit_cast<double>(random_below({3, 0}, i, std::numeric_limits<std::uint64_t>::max()));
    if (!std::isfinite(number)) continue;
    EXPECT_EQ(std::strtod(json_text(number).c_str(), nullptr), number);
    EXPECT_TRUE(json::parse(json_text(number)).is_double()) << json_text(number);
  }
}

TEST(JsonText, WhatIsNoNumberIsNull) {
  for (const double strange : {std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_EQ(json_text(strange), "null");
}

TEST(JsonText, ObjectsListsAndTextsNest) {
  const json::value value{{"a\"b", {1, 2.5, nullptr, true}}, {"empty", json::array{}}, {"o", {{"line", "x\ny"}}}};
  EXPECT_EQ(json_text(value), R"({"a\"b":[1,2.5,null,true],"empty":[],"o":{"line":"x\ny"}})");
  EXPECT_EQ(json_text(json::object{}), "{}");
  EXPECT_EQ(json::parse(json_text(value)), value);
}

}  // namespace
}  // namespace coe
