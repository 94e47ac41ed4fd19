#pragma once

#include <boost/program_options.hpp>
#include <string_view>

#include "runtime/config/config.h"

namespace coe {

/// Adds --order, which verbs without a config take for exchange.order.
void add_order_option(boost::program_options::options_description& options);

/// What it says. Throws kBadInput in the name of `verb`.
ExchangeOrder named_order(std::string_view verb, const boost::program_options::variables_map& values);

}  // namespace coe
