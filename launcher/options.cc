#include "launcher/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <iostream>
#include <vector>

#include "kernels/memory/error.h"

namespace coe {
namespace po = boost::program_options;
namespace {

void print_help(const VerbSyntax& syntax, const po::options_description& options) {
  fmt::print("usage: coe {} {}\n\n{}\n\n", syntax.verb, syntax.usage, syntax.text);
  std::fflush(stdout);
  std::cout << options << std::flush;
}

}  // namespace

std::optional<po::variables_map> parse_options(const VerbSyntax& syntax, const po::options_description& options,
                                               std::span<const std::string> arguments) {
  const std::string positional(syntax.positional);
  po::options_description shown = options, all;
  shown.add_options()("help,h", "say this");
  all.add(shown).add_options()(positional.c_str(), po::value<std::vector<std::string>>());
  po::positional_options_description places;
  places.add(positional.c_str(), syntax.most);
  if (std::any_of(arguments.begin(), arguments.end(), [](const auto& one) { return one == "--help" || one == "-h"; })) {
    print_help(syntax, shown);
    return std::nullopt;
  }
  po::variables_map values;
  try {
    const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    const std::vector<std::string> list(arguments.begin(), arguments.end());
    po::store(po::command_line_parser(list).options(all).positional(places).style(style).run(), values);
    po::notify(values);
  } catch (const po::error& error) {
    fail(ErrorCode::kBadInput, syntax.verb, ": ", error.what(), "; usage: coe ", syntax.verb, " ", syntax.usage);
  }
  const bool enough = values.count(positional) == 1 || values.count(std::string(syntax.instead)) == 1;
  check(enough, syntax.verb, ": an argument is missing; usage: coe ", syntax.verb, " ", syntax.usage);
  return values;
}

}  // namespace coe
