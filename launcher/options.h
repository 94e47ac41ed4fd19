#pragma once

#include <boost/program_options.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace coe {

/// How a verb is called.
struct VerbSyntax {
  std::string_view verb;        ///< "train"
  std::string_view usage;       ///< "CONFIG [options]"
  std::string_view text;        ///< what it does, for --help
  std::string_view positional;  ///< option that takes the arguments without a name: "config"
  int most = 1;                 ///< how many of them there may be; -1: any number
  std::string_view instead{};   ///< the switch with which none is needed: "keys"; else at least one is
};

/// Parses a verb's arguments; `options` lists what --help shows, --help itself aside. Prints the help and returns
/// nothing where it is asked for. Throws kBadInput for arguments that make no sense.
std::optional<boost::program_options::variables_map> parse_options(
    const VerbSyntax& syntax, const boost::program_options::options_description& options,
    std::span<const std::string> arguments);

}  // namespace coe
