#include "launcher/threads_option.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels/memory/error.h"

namespace coe {
namespace {

std::int64_t threads_of(const std::vector<std::string>& arguments, std::int64_t otherwise = 1) {
  boost::program_options::options_description options;
  add_threads_option(options);
  boost::program_options::variables_map values;
  store(boost::program_options::command_line_parser(arguments).options(options).run(), values);
  return named_threads(values, otherwise);
}

TEST(ThreadsOption, SaysHowManyOrLeavesTheDefault) {
  EXPECT_EQ(threads_of({}, 3), 3);
  EXPECT_EQ(threads_of({"--threads", "2"}, 3), 2);
}

TEST(ThreadsOption, RefusesWhatNoRankCanHave) {
  for (const char* wrong : {"0", "-1", "100000"}) EXPECT_THROW(threads_of({"--threads", wrong}), Error) << wrong;
}

}  // namespace
}  // namespace coe
