#include "launcher/order_option.h"

#include <string>

#include "launcher/word_option.h"
#include "runtime/config/config_text.h"

namespace coe {
namespace po = boost::program_options;

void add_order_option(po::options_description& options) {
  options.add_options()("order", po::value<std::string>()->default_value("exact")->value_name("NAME"),
                        option_help("exchange.order").c_str());
}

ExchangeOrder named_order(std::string_view verb, const po::variables_map& values) {
  return named_word<ExchangeOrder>(verb, "order", values);
}

}  // namespace coe
