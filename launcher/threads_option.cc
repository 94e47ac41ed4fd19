#include "launcher/threads_option.h"

#include "kernels/memory/error.h"
#include "runtime/config/config.h"

namespace coe {
namespace po = boost::program_options;

void add_threads_option(po::options_description& options) {
  options.add_options()("threads", po::value<std::int64_t>()->value_name("N"),
                        "threads of each rank, for its experts, each on a core of its own (default: 1, or the config's "
                        "distributed.threads)");
}

std::int64_t named_threads(const po::variables_map& values, std::int64_t otherwise) {
  if (values.count("threads") == 0) return otherwise;
  const auto threads = values["threads"].as<std::int64_t>();
  check(threads >= 1 && threads <= kMostThreads, "--threads is ", threads, ", allowed are 1 to ", kMostThreads);
  return threads;
}

}  // namespace coe
