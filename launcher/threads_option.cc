#include "launcher/threads_option.h"

#include "kernels/memory/error.h"
#include "runtime/config/config.h"
#include "runtime/config/config_text.h"

namespace coe {
namespace po = boost::program_options;

void add_threads_option(po::options_description& options) {
  options.add_options()("threads", po::value<std::int64_t>()->value_name("N"),
                        option_help("distributed.threads").c_str());
}

std::int64_t named_threads(const po::variables_map& values, std::int64_t otherwise) {
  if (values.count("threads") == 0) return otherwise;
  const auto threads = values["threads"].as<std::int64_t>();
  check(threads >= 1 && threads <= kMostThreads, "--threads is ", threads, ", allowed are 1 to ", kMostThreads);
  return threads;
}

}  // namespace coe
