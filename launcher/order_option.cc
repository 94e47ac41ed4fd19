#include "launcher/order_option.h"

#include <algorithm>
#include <string>

#include "kernels/memory/error.h"
#include "runtime/config/allowed_words.h"
#include "runtime/config/config_text.h"
#include "runtime/config/config_words.h"

namespace coe {
namespace po = boost::program_options;

void add_order_option(po::options_description& options) {
  options.add_options()("order", po::value<std::string>()->default_value("exact")->value_name("NAME"),
                        option_help("exchange.order").c_str());
}

ExchangeOrder named_order(std::string_view verb, const po::variables_map& values) {
  const std::string& name = values["order"].as<std::string>();
  const auto* found = std::ranges::find(kWords<ExchangeOrder>, name);
  check(found != kWords<ExchangeOrder>.end(), verb, ": --order is ", name, ", must be ", type_words<ExchangeOrder>());
  return static_cast<ExchangeOrder>(found - kWords<ExchangeOrder>.begin());
}

}  // namespace coe
