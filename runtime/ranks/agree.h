#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/collectives.h"

namespace coe {

/// Runs `work` on this rank and waits for all ranks of the group; where it threw on any of them, every rank throws the
/// error of the lowest such rank, so that nobody goes on alone. Returns what each rank's `work` returned. Collective.
std::vector<std::string> agree(Group group, const Phase& phase, const std::function<std::string()>& work);

}  // namespace coe
