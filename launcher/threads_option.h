#pragma once

#include <boost/program_options.hpp>
#include <cstdint>

namespace coe {

/// Adds --threads.
void add_threads_option(boost::program_options::options_description& options);

/// What it says; `otherwise` where it is not given. Throws kBadInput.
std::int64_t named_threads(const boost::program_options::variables_map& values, std::int64_t otherwise);

}  // namespace coe
