#include "launcher/config_options.h"

#include <string>
#include <vector>

#include "launcher/threads_option.h"

namespace coe {
namespace po = boost::program_options;

void add_config_options(po::options_description& options) {
  auto add = options.add_options();
  add("set", po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
      "overrides the config, as training.steps=10; may be given again");
  add("data", po::value<std::string>()->value_name("PATH"), "text, JSONL or uint16 tokens to train on");
  add("valid", po::value<std::string>()->value_name("PATH"),
      "the like for validation; without it the last twentieth of --data");
  add_threads_option(options);
}

Config configured(const po::variables_map& values) {
  std::vector<std::string> settings;
  if (values.count("set") == 1) settings = values["set"].as<std::vector<std::string>>();
  Config config = read_config(values["config"].as<std::vector<std::string>>().front(), settings);
  if (values.count("data") == 1) config.data.train = values["data"].as<std::string>();
  if (values.count("valid") == 1) config.data.valid = values["valid"].as<std::string>();
  config.distributed.threads = named_threads(values, config.distributed.threads);
  return config;
}

}  // namespace coe
