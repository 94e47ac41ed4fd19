#include "launcher/config_options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "launcher/options.h"
#include "tests/launcher/scratch.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

Config configured_by(std::vector<std::string> arguments) {
  const Scratch scratch;
  arguments.push_back(scratch.write("config.toml", kTinyConfig).string());
  boost::program_options::options_description options("options");
  add_config_options(options);
  const VerbSyntax syntax{.verb = "read", .usage = "CONFIG", .text = "Reads.", .positional = "config"};
  return configured(parse_options(syntax, options, arguments).value());
}

TEST(ConfigOptions, WithoutOptionsTheFileHolds) {
  const Config config = configured_by({});
  EXPECT_EQ(config.training.steps, 4);
  EXPECT_TRUE(config.data.train.empty());
}

TEST(ConfigOptions, OptionsOverrideTheFile) {
  const Config config =
      configured_by({"--set", "training.steps=9", "--set", "layer.top_k=1", "--data", "a.txt", "--valid", "b.txt"});
  EXPECT_EQ(config.training.steps, 9);
  EXPECT_EQ(config.model.layer.top_k, 1);
  EXPECT_EQ(config.data.train, "a.txt");
  EXPECT_EQ(config.data.valid, "b.txt");
}

TEST(ConfigOptions, PathsMayHaveAnyName) {
  for (const char* path : {"1", "true", "a b\"c\\d.txt", "x = [", "caf\u00e9.txt"}) {
    EXPECT_EQ(configured_by({"--data", path}).data.train, path);
  }
}

TEST(ConfigOptions, WhatTheDataCallForIsCheckedAgainstTheData) {
  EXPECT_EQ(configured_by({"--data", "a.bin", "--set", "model.vocab=61", "--valid", "b.bin"}).model.vocab, 61);
  EXPECT_THROW(configured_by({"--data", "a.bin", "--set", "model.vocab=61", "--valid", "b.txt"}), Error);
}

TEST(ConfigOptions, AnUnknownKeyIsRefused) { EXPECT_THROW(configured_by({"--set", "training.step=9"}), Error); }

}  // namespace
}  // namespace coe
