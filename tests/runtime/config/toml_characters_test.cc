#include "runtime/config/toml_characters.h"

#include <gtest/gtest.h>

#include <string>

namespace coe {
namespace {

TEST(TomlCharacters, BeyondAsciiMayStandInStringsAndComments) {
  EXPECT_EQ(first_strange_line(""), 0);
  EXPECT_EQ(first_strange_line("# caf\u00e9 'n \"\n[data]\ntrain = \"caf\u00e9\" # \u00e9\nvalid = 'caf\u00e9'\n"), 0);
  EXPECT_EQ(first_strange_line("\xef\xbb\xbf[data]\n"), 0);
  EXPECT_EQ(first_strange_line(R"(a = "\"é\\" # x)"), 0);
  EXPECT_EQ(first_strange_line(R"(a = '\' # é)"), 0);
}

TEST(TomlCharacters, ElsewhereTheirLineIsFound) {
  EXPECT_EQ(first_strange_line("\u031a"), 1);
  EXPECT_EQ(first_strange_line("a = 1\n\u00e9 = 2\n"), 2);
  EXPECT_EQ(first_strange_line("a = \"x\" \u00e9"), 1);
  EXPECT_EQ(first_strange_line("a = 'x\n\u00e9"), 2);
  EXPECT_EQ(first_strange_line("a = \"x\\\n\u00e9"), 2);
  EXPECT_EQ(first_strange_line("a = '\\' \u00e9"), 1);
}

TEST(TomlCharacters, StringsOfSeveralLinesAreFound) {
  EXPECT_EQ(first_strange_line("\na = \"\"\"x\ny\"\"\"\n"), 2);
  EXPECT_EQ(first_strange_line("a = '''x'''"), 1);
  EXPECT_EQ(first_strange_line("a = \"\"\nb = ''\nc = \"'''\"\n"), 0);
}

TEST(TomlCharacters, ALineOfManyDotsIsFound) {
  const std::string dots(256, '.');
  EXPECT_EQ(first_strange_line("a = \"" + dots + dots + "\" # " + dots + "\n" + dots + "\n" + dots), 0);
  EXPECT_EQ(first_strange_line("\n" + dots + "."), 2);
}

}  // namespace
}  // namespace coe
