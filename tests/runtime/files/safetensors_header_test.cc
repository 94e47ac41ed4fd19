#include "runtime/files/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/memory/error.h"

namespace coe {
namespace {

using testing::HasSubstr;

/// The message that refuses this header before so many bytes of data.
std::string refusal(const std::string& header, std::uint64_t data_bytes) {
  try {
    parse_safetensors_header(header, data_bytes, "x.safetensors");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::StartsWith("x.safetensors: "));
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "nothing was thrown";
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

TEST(SafetensorsHeader, ListsTensorsInOrderOfTheirData) {
  const SafetensorsHeader header = parse_safetensors_header(
      R"({"b":{"dtype":"U8","shape":[],"data_offsets":[4,5]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5,
      "x.safetensors");
  ASSERT_EQ(header.entries.size(), 2U);
  EXPECT_EQ(header.entries[0].name, "a");
  EXPECT_EQ(header.entries[1].shape, Shape{});
  EXPECT_EQ(header.entries[1].begin, 4U);
}

TEST(SafetensorsHeader, TextIsJsonPaddedToEightBytes) {
  SafetensorsHeader header;
  header.entries.push_back({"w", DType::kI64, {2, 3}, 0, 48});
  // 57 characters, hence seven spaces.
  EXPECT_EQ(safetensors_header_text(header), R"({"w":{"dtype":"I64","shape":[2,3],"data_offsets":[0,48]}})"
                                             "       ");
}

TEST(SafetensorsHeader, RefusesAHeaderThatIsNotItsJson) {
  EXPECT_THAT(refusal("", 0), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("{", 0), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(R"({"w":{"x":)" + std::string(10000, '['), 0), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal(R"({"w":1})", 0), HasSubstr(R"(tensor "w": not a JSON object)"));
  EXPECT_THAT(refusal(R"({"__metadata__":[]})", 0), HasSubstr("metadata"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"a":1}})", 0), HasSubstr(R"("a" is not a string)"));
  EXPECT_THAT(refusal("{\"a\\nb\":1}", 0), HasSubstr(R"(tensor "a\nb")"));
}

TEST(SafetensorsHeader, RefusesRepeatedNames) {
  const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(refusal(R"({"w":)" + entry + R"(,"w":)" + entry + "}", 1), HasSubstr(R"("w" stands twice)"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr(R"("dtype" stands twice)"));
}

TEST(SafetensorsHeader, RefusesMissingOrMistypedFields) {
  EXPECT_THAT(refusal(R"({"w":{"shape":[1],"data_offsets":[0,1]}})", 1), HasSubstr(R"(tensor "w": has no dtype)"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"U8","data_offsets":[0,1]}})", 1), HasSubstr("has no shape"));
  EXPECT_THAT(refusal(R"({"w":{"dtype":"U8","shape":[1]}})", 1), HasSubstr("has no data_offsets"));
  EXPECT_THAT(refusal(one("7", "[1]", "[0,1]"), 1), HasSubstr("dtype is not a string"));
  EXPECT_THAT(refusal(one(R"("U8")", "1", "[0,1]"), 1), HasSubstr("shape is not a list"));
  EXPECT_THAT(refusal(one(R"("U8")", "[1]", "[0]"), 1), HasSubstr("has 1 data_offsets"));
  EXPECT_THAT(refusal(one(R"("U8")", "[1]", "[0,1.5]"), 1), HasSubstr("data_offsets holds 1.5"));
}

TEST(SafetensorsHeader, RefusesDtypesThatItDoesNotKnow) {
  EXPECT_THAT(refusal(one(R"("BF16")", "[1]", "[0,2]"), 2),
              HasSubstr(R"(tensor "w": dtype is "BF16", must be F32, F64, I32, I64, U8 or U16)"));
}

TEST(SafetensorsHeader, RefusesShapesThatItCannotHold) {
  EXPECT_THAT(refusal(one(R"("U8")", "[1,1,1,1,1]", "[0,1]"), 1), HasSubstr("shape has more than 4 numbers"));
  EXPECT_THAT(refusal(one(R"("U8")", "[-1]", "[0,1]"), 1), HasSubstr("shape holds -1"));
  EXPECT_THAT(refusal(one(R"("U8")", "[18446744073709551615]", "[0,1]"), 1), HasSubstr("shape holds"));
  // 2^32 * 2^32 * 4 bytes are 2^66, which wraps to 0.
  EXPECT_THAT(refusal(one(R"("F32")", "[4294967296,4294967296]", "[0,0]"), 0),
              HasSubstr("more than there are numbers"));
}

TEST(SafetensorsHeader, RefusesOffsetsThatDoNotFitTheShape) {
  EXPECT_THAT(refusal(one(R"("F32")", "[2]", "[0,7]"), 7), HasSubstr("span 7 bytes, F32 [2] needs 8"));
  EXPECT_THAT(refusal(one(R"("U8")", "[1]", "[1,0]"), 1), HasSubstr("in order"));
  EXPECT_THAT(refusal(one(R"("U8")", "[1]", "[-1,0]"), 1), HasSubstr("data_offsets holds -1"));
  EXPECT_THAT(refusal(one(R"("U8")", "[8]", "[0,8]"), 7), HasSubstr("ends at byte 8 of the data, which has 7"));
}

TEST(SafetensorsHeader, RefusesOverlapsAndHoles) {
  const auto two = [](const std::string& a, const std::string& b) {
    return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + a +
           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}";
  };
  EXPECT_THAT(refusal(two("[0,2]", "[1,3]"), 4), HasSubstr(R"(tensor "b": begins at byte 1, inside)"));
  EXPECT_THAT(refusal(two("[0,2]", "[0,2]"), 2), HasSubstr("inside"));
  EXPECT_THAT(refusal(two("[0,2]", "[3,5]"), 5), HasSubstr("must follow the tensor before it at 2"));
  EXPECT_THAT(refusal(two("[0,2]", "[2,4]"), 5), HasSubstr("1 bytes of the data belong to no tensor"));
}

}  // namespace
}  // namespace coe
