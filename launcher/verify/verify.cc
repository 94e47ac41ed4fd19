#include <fmt/core.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/launch.h"
#include "comm/make_transport.h"
#include "launcher/command.h"
#include "launcher/failure.h"
#include "launcher/meet.h"
#include "launcher/options.h"
#include "launcher/order_option.h"
#include "launcher/pinning.h"
#include "launcher/threads_option.h"
#include "launcher/verify/case_file.h"
#include "launcher/verify/verify_case.h"
#include "launcher/word_option.h"
#include "runtime/config/config_text.h"
#include "runtime/layer/check_device.h"

namespace coe {
namespace po = boost::program_options;
namespace {

constexpr double kDefaultTolerance = 1e-5;

struct VerifyArguments {
  std::vector<std::filesystem::path> cases;
  bool processes = false;
  int ranks = 1;
  double tolerance = kDefaultTolerance;
  VerifyWay way;
};

po::options_description option_list() {
  po::options_description options("options");
  auto add = options.add_options();
  add("transport", po::value<std::string>()->value_name("NAME"),
      "local: ranks are threads; mpi: ranks are processes (default: mpi under "
      "mpirun, else local)");
  add("ranks", po::value<int>()->default_value(1)->value_name("R"), "how many ranks of the local transport");
  add("device", po::value<std::string>()->default_value("cpu")->value_name("NAME"),
      "cpu, or cuda: on GPUs of one host, which processes take in turn and threads share");
  add("devices", po::value<std::string>()->default_value("auto")->value_name("NAME"),
      option_help("exchange.devices").c_str());
  add("sizes", po::value<std::string>()->default_value("host")->value_name("NAME"),
      option_help("exchange.sizes").c_str());
  add("tolerance", po::value<double>()->default_value(kDefaultTolerance, "1e-5")->value_name("X"),
      "the largest ||got - expected|| / ||expected|| of a tensor that passes");
  add_order_option(options);
  add_threads_option(options);
  return options;
}

VerifyWay way_of(const po::variables_map& values, Device::Kind device) {
  const bool on_cpu = device == Device::Kind::kCpu;
  const VerifyWay way{.device = device,
                      .reach = named_word<DeviceReach>("verify", "devices", values),
                      .sizes = named_word<MessageSizes>("verify", "sizes", values),
                      .order = named_order("verify", values),
                      .threads = static_cast<int>(named_threads(values, 1))};
  check(on_cpu || way.order == ExchangeOrder::kExact, "verify: --order partial-sums needs --device cpu");
  check(on_cpu || way.threads == 1, "verify: --threads is ", way.threads, ", --device cuda needs 1");
  check(!on_cpu || (values["devices"].defaulted() && values["sizes"].defaulted()),
        "verify: --devices and --sizes need --device cuda");
  return way;
}

std::optional<VerifyArguments> parse(std::span<const std::string> arguments) {
  const VerbSyntax syntax{.verb = "verify",
                          .usage = "CASE... [options]",
                          .text =
                              "Runs layer and model cases forward and backward "
                              "over the ranks, model cases also through\n"
                              "their optimiser steps, and compares everything "
                              "that they expect. One line a case.",
                          .positional = "case",
                          .most = -1};
  const auto values = parse_options(syntax, option_list(), arguments);
  if (!values) return std::nullopt;
  VerifyArguments result;
  for (const std::string& path : (*values)["case"].as<std::vector<std::string>>()) result.cases.emplace_back(path);
  const std::string transport = values->count("transport") == 1 ? (*values)["transport"].as<std::string>()
                                                                : (launched_by_mpi() ? "mpi" : "local");
  check(transport == "mpi" || transport == "local", "verify: --transport is ", transport, ", allowed are local, mpi");
  result.processes = transport == "mpi";
  check(result.processes || !launched_by_mpi(), "verify: --transport is local, which mpirun cannot start");
  result.ranks = (*values)["ranks"].as<int>();
  check(result.ranks >= 1, "verify: --ranks is ", result.ranks, ", at least 1 is needed");
  check(!result.processes || (*values)["ranks"].defaulted(),
        "verify: --ranks is for the local transport, mpirun -np R for mpi");
  const std::string device = (*values)["device"].as<std::string>();
  check(device == "cpu" || device == "cuda", "verify: --device is ", device, ", allowed are cpu, cuda");
  result.way = way_of(*values, device == "cuda" ? Device::Kind::kCuda : Device::Kind::kCpu);
  result.tolerance = (*values)["tolerance"].as<double>();
  check(result.tolerance > 0, "verify: --tolerance is ", result.tolerance, ", more than 0 is needed");
  return result;
}

/// Runs all cases on one rank; true where all pass. Rank 0 prints.
bool verify_all(const VerifyArguments& arguments, Transport& world, int threads) {
  VerifyWay way = arguments.way;
  way.threads = threads;
  bool all_pass = true;
  for (const std::filesystem::path& path : arguments.cases) {
    const CaseOutcome outcome = verify_case(path, world, kDefaultDeadline, way);
    const bool pass = outcome.max_error <= arguments.tolerance;
    all_pass = all_pass && pass;
    if (world.rank() != 0) continue;
    fmt::print("{} {} max_error={:.2e} worst={} digest={:016x}\n", pass ? "PASS" : "FAIL", path.stem().string(),
               outcome.max_error, outcome.worst, outcome.digest);
    std::fflush(stdout);
  }
  return all_pass;
}

}  // namespace

int run_verify(std::span<const std::string> arguments) {
  const auto parsed = parse(arguments);
  if (!parsed) return 0;
  if (parsed->way.device == Device::Kind::kCuda) check_cuda_device();
  for (const std::filesystem::path& path : parsed->cases) {
    const CaseFile file{path};
    if (parsed->way.device == Device::Kind::kCuda && !file.is_model()) check_cuda_layer(file.layer());
  }
  bool all_pass = false;
  const Pinning pinning(parsed->way.threads);
  const auto body = [&](Transport& world) {
    const PinnedTeam team = pinning.pin(world);
    const bool pass = verify_all(*parsed, world, team.threads());
    if (parsed->processes || world.rank() == 0) all_pass = pass;
  };
  int code = 0;
  if (parsed->processes) {
    code = run_ranks(facts_of_command("verify", arguments), body);
  } else {
    run_local_ranks(parsed->ranks, body);
  }
  return code == 0 && !all_pass ? 1 : code;
}

}  // namespace coe
