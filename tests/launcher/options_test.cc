#include "launcher/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/memory/error.h"

namespace coe {
namespace {

namespace po = boost::program_options;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const VerbSyntax kSyntax{.verb = "paint", .usage = "WALL [options]", .text = "Paints.", .positional = "wall"};

po::options_description colours() {
  po::options_description options("options");
  options.add_options()("colour", po::value<std::vector<std::string>>()->composing(), "again and again");
  return options;
}

std::string refusal_of(const std::vector<std::string>& arguments) {
  try {
    parse_options(kSyntax, colours(), arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "accepted";
}

TEST(Options, NamedAndUnnamedArgumentsAreKept) {
  const auto values =
      parse_options(kSyntax, colours(), std::vector<std::string>{"--colour", "red", "north", "--colour=a=b"});
  ASSERT_TRUE(values);
  EXPECT_THAT((*values)["colour"].as<std::vector<std::string>>(), ElementsAre("red", "a=b"));
  EXPECT_THAT((*values)["wall"].as<std::vector<std::string>>(), ElementsAre("north"));
}

TEST(Options, HelpIsPrintedWhateverElseIsWrong) {
  ::testing::internal::CaptureStdout();
  EXPECT_FALSE(parse_options(kSyntax, colours(), std::vector<std::string>{"--nothing", "--help"}));
  const std::string help = ::testing::internal::GetCapturedStdout();
  EXPECT_THAT(help, HasSubstr("usage: coe paint WALL [options]"));
  EXPECT_THAT(help, HasSubstr("again and again"));
}

TEST(Options, WhatMakesNoSenseIsRefusedWithTheUsage) {
  EXPECT_THAT(refusal_of({"north", "--color", "red"}), HasSubstr("unrecognised option '--color'"));
  EXPECT_THAT(refusal_of({"north", "--colo", "red"}), HasSubstr("unrecognised option '--colo'"));
  EXPECT_THAT(refusal_of({"north", "--colour"}), HasSubstr("'--colour' is missing"));
  EXPECT_THAT(refusal_of({"north", "south"}), HasSubstr("too many positional"));
  EXPECT_THAT(refusal_of({}), HasSubstr("usage: coe paint WALL"));
}

}  // namespace
}  // namespace coe
