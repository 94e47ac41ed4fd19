#include "launcher/command.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "kernels/memory/build.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

struct Verb {
  std::string_view name;
  std::string_view summary;
  int (*run)(std::span<const std::string> arguments);
};

constexpr std::array kVerbs{
    Verb{"config", "prints every key of a configuration: value, default, meaning", run_config},
    Verb{"train", "trains a model, alone or under mpirun", run_train},
    Verb{"eval", "computes the validation loss of a trained model", run_eval},
    Verb{"generate", "goes on from a text with a trained model", run_generate},
    Verb{"compare", "prints one table of several runs", run_compare},
    Verb{"plot", "draws the loss curves of runs as SVG", run_plot},
    Verb{"inspect", "explains what a run left behind", run_inspect},
    Verb{"verify", "runs cases with right answers over the ranks", run_verify},
    Verb{"bench", "times a layer beside the machine's own limits", run_bench},
};

int print_help() {
  fmt::print("coe: trains Chain-of-Experts models over many ranks\n\nusage: coe VERB [ARGUMENTS]\n\n");
  for (const Verb& verb : kVerbs) fmt::print("  {:<10}{}\n", verb.name, verb.summary);
  fmt::print("\ncoe VERB --help says more; coe --version says which version this is.\n");
  return 0;
}

std::string verb_names() {
  std::string names;
  for (const Verb& verb : kVerbs) names += (names.empty() ? "" : ", ") + std::string(verb.name);
  return names;
}

}  // namespace

int run_command(std::span<const std::string> arguments) {
  check(!arguments.empty(), "a verb is missing; there are ", verb_names(), " (coe --help)");
  const std::string& name = arguments[0];
  if (name == "--help" || name == "-h" || name == "help") return print_help();
  if (name == "--version") {
    fmt::print("coe {}\n", build().version);
    return 0;
  }
  const auto* verb = std::find_if(kVerbs.begin(), kVerbs.end(), [&](const Verb& one) { return one.name == name; });
  check(verb != kVerbs.end(), "'", name, "' is no verb; there are ", verb_names(), " (coe --help)");
  return verb->run(arguments.subspan(1));
}

}  // namespace coe
