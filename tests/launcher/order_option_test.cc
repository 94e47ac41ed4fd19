#include "launcher/order_option.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/memory/error.h"

namespace coe {
namespace {

namespace po = boost::program_options;

ExchangeOrder order_of(const std::vector<std::string>& arguments) {
  po::options_description options;
  add_order_option(options);
  po::variables_map values;
  po::store(po::command_line_parser(arguments).options(options).run(), values);
  return named_order("bench", values);
}

TEST(OrderOption, IsExactUnlessAsked) {
  EXPECT_EQ(order_of({}), ExchangeOrder::kExact);
  EXPECT_EQ(order_of({"--order", "exact"}), ExchangeOrder::kExact);
  EXPECT_EQ(order_of({"--order", "partial-sums"}), ExchangeOrder::kPartialSums);
}

TEST(OrderOption, OtherNamesAreRefused) {
  try {
    order_of({"--order", "fast"});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_STREQ(error.what(), "bench: --order is fast, must be \"exact\" or \"partial-sums\"");
  }
}

}  // namespace
}  // namespace coe
