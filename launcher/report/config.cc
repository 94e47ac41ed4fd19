#include <fmt/format.h>

#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "launcher/command.h"
#include "launcher/config_options.h"
#include "launcher/options.h"
#include "launcher/tell.h"
#include "runtime/config/config_text.h"

namespace coe {
namespace po = boost::program_options;
namespace {

constexpr std::string_view kLegend =
    "# Above each value what it means, beside it its default and what it must be; a star marks what is no default.\n\n";

std::string explained(const po::variables_map& values) {
  const std::string& file = values["config"].as<std::vector<std::string>>().front();
  const Config config = configured(values);
  return fmt::format("# {}: {}\n{}{}", file, model_name(config.model.layer), kLegend, explained_toml(config));
}

}  // namespace

int run_config(std::span<const std::string> arguments) {
  const VerbSyntax syntax{
      .verb = "config",
      .usage = "CONFIG [options] | --keys",
      .text =
          "Prints CONFIG, as the options override it, with every key: its value, its default, what it means and what\n"
          "it may be. What is printed is a config again.",
      .positional = "config",
      .instead = "keys"};
  po::options_description options("options");
  add_config_options(options);
  options.add_options()("keys", "print all keys with their defaults; takes no CONFIG");
  const auto values = parse_options(syntax, options, arguments);
  if (!values) return 0;
  const bool keys = values->count("keys") == 1;
  check(!keys || arguments.size() == 1, "config: --keys stands alone; usage: coe config ", syntax.usage);
  const std::string text = keys ? std::string(kLegend) + explained_toml({}) : explained(*values);
  if (!print_out(text)) fail(ErrorCode::kSystem, "config: stdout cannot be written");
  return 0;
}

}  // namespace coe
