#pragma once

#include <boost/program_options.hpp>
#include <span>

#include "runtime/config/config.h"

namespace coe {

/// Adds what every verb takes that reads a config: --set, --data, --valid, --threads. CONFIG itself is the positional
/// "config".
void add_config_options(boost::program_options::options_description& options);

/// The config that the arguments name, with what they override; `defaults` override the file, but not the arguments.
/// Throws kBadInput.
Config configured(const boost::program_options::variables_map& values, std::span<const ConfigEntry> defaults = {});

}  // namespace coe
