#include "launcher/config_options.h"

#include <iomanip>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "launcher/threads_option.h"
#include "runtime/config/config_text.h"

namespace coe {
namespace po = boost::program_options;
namespace {

/// A string of TOML.
std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << std::quoted(text);
  return out.str();
}

}  // namespace

void add_config_options(po::options_description& options) {
  auto add = options.add_options();
  add("set", po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
      "overrides a key of the config, as training.steps=10; may be given again; coe config --keys explains all");
  add("data", po::value<std::string>()->value_name("PATH"), option_help("data.train").c_str());
  add("valid", po::value<std::string>()->value_name("PATH"), option_help("data.valid").c_str());
  add_threads_option(options);
}

Config configured(const po::variables_map& values, std::span<const ConfigEntry> defaults) {
  std::vector<std::string> settings;
  for (const ConfigEntry& entry : defaults) settings.push_back(entry.key + "=" + entry.value);
  if (values.count("set") == 1) {
    const auto& given = values["set"].as<std::vector<std::string>>();
    settings.insert(settings.end(), given.begin(), given.end());
  }
  for (const auto& [option, key] : {std::pair("data", "data.train="), std::pair("valid", "data.valid=")}) {
    if (values.count(option) == 1) settings.push_back(key + quoted(values[option].as<std::string>()));
  }
  Config config = read_config(values["config"].as<std::vector<std::string>>().front(), settings);
  config.distributed.threads = named_threads(values, config.distributed.threads);
  return config;
}

}  // namespace coe
