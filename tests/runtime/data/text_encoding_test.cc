#include "runtime/data/text_encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/bad_input.h"

namespace coe {
namespace {

using namespace std::string_literals;
using testing::StartsWith;

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string refusal(const std::string& text) {
  return bad_input([&] { begin_of_text(bytes(text), "x.txt"); });
}

/// ASCII as numbers of `width` bytes, the letter's byte at `place`.
std::string wide(const std::string& text, std::size_t width, std::size_t place) {
  std::string out;
  for (const char letter : text) {
    std::string number(width, '\0');
    number[place] = letter;
    out += number;
  }
  return out;
}

TEST(TextEncoding, TextBeginsAfterUtf8sMark) {
  EXPECT_EQ(begin_of_text(bytes("\xef\xbb\xbfhello"), "x.txt"), 3U);
  EXPECT_EQ(begin_of_text(bytes("hello"), "x.txt"), 0U);
  EXPECT_EQ(begin_of_text(bytes("\xef\xbb"), "x.txt"), 0U);
  EXPECT_EQ(begin_of_text(bytes("caf\xc3\xa9 \xe4\xbd\xa0"), "x.txt"), 0U);
}

TEST(TextEncoding, NamesWideEncodingsByTheirMark) {
  EXPECT_EQ(refusal("\xff\xfe\x60\x4f"), "x.txt: is UTF-16LE, must be UTF-8; iconv -f UTF-16LE -t UTF-8 makes it so");
  EXPECT_THAT(refusal("\xfe\xff\x4f\x60"), StartsWith("x.txt: is UTF-16BE"));
  EXPECT_THAT(refusal("\xff\xfe\0\0h\0\0\0"s), StartsWith("x.txt: is UTF-32LE"));
  EXPECT_THAT(refusal("\0\0\xfe\xff\0\0\0h"s), StartsWith("x.txt: is UTF-32BE"));
}

TEST(TextEncoding, NamesUtf16WithoutAMarkByItsZeros) {
  const std::string text = "how many pears are left on the tree?";
  EXPECT_THAT(refusal(wide(text, 2, 0)), StartsWith("x.txt: is UTF-16LE"));
  EXPECT_THAT(refusal(wide(text, 2, 1)), StartsWith("x.txt: is UTF-16BE"));
  EXPECT_EQ(begin_of_text(bytes(std::string(100, '\0')), "x.txt"), 0U);
  EXPECT_EQ(begin_of_text(bytes("a\0b\0"s), "x.txt"), 0U) << "too little to tell";
}

TEST(TextEncoding, KnowsWhatIsNoText) {
  EXPECT_EQ(not_text(bytes("\x1f\x8b\x08")), "compressed by gzip");
  EXPECT_EQ(not_text(bytes("\xfd"
                           "7zXZ\0"s)),
            "compressed by xz");
  EXPECT_EQ(not_text(bytes("\x93NUMPY")), "a NumPy array");
  EXPECT_EQ(not_text(bytes("PAR1")), "a Parquet file");
  EXPECT_EQ(not_text(bytes("{\"a\": 1}")), "");
  EXPECT_EQ(not_text({}), "");
}

}  // namespace
}  // namespace coe
