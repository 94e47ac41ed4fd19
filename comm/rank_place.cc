#include "comm/rank_place.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace coe {
namespace {

constexpr std::size_t kNamedAtMost = 8;

std::uint64_t namespace_of(const char* path) {
  struct stat status {};
  return stat(path, &status) == 0 ? status.st_ino : 0;
}

struct ProcessStatus {
  char state = '?';
  std::uint64_t started = 0;
};

/// What /proc says of a process of this namespace. /proc may be that of another one: then it knows this process by
/// another number, and nothing is told.
std::optional<ProcessStatus> status_of(std::int64_t process) {
  std::array<char, 32> self{};
  const ssize_t length = readlink("/proc/self", self.data(), self.size());
  const std::string_view own(self.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  if (own != std::to_string(getpid())) return std::nullopt;
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The program's name, in brackets, may hold anything.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  constexpr int kBetween = 18;  // fields 4 to 21
  ProcessStatus status;
  std::string skipped;
  fields >> status.state;
  for (int i = 0; i < kBetween; ++i) fields >> skipped;
  fields >> status.started;
  return fields ? std::optional(status) : std::nullopt;
}

const RankPlace& place_of(int rank, std::span<const RankPlace> places) {
  return places[static_cast<std::size_t>(rank)];
}

std::string in_brackets(const RankPlace& place) {
  return std::string(" (") + place.host.data() + ", pid " + std::to_string(place.process) + ")";
}

std::string list_of(std::span<const int> ranks, std::string_view of_one, std::string_view of_many) {
  std::string text(ranks.size() == 1 ? of_one : of_many);
  for (std::size_t i = 0; i < ranks.size(); ++i) text += (i > 0 ? ", " : " ") + std::to_string(ranks[i]);
  return text;
}

std::string stopped_ranks(std::span<const int> ranks, int own, std::span<const RankPlace> places) {
  std::vector<int> stopped;
  for (const int rank : ranks) {
    if (state_of(place_of(rank, places), place_of(own, places)) == ProcessState::kStopped) stopped.push_back(rank);
  }
  if (stopped.empty()) return "";
  return list_of(stopped, "rank", "ranks") + (stopped.size() == 1 ? " is" : " are") + " stopped (SIGSTOP)";
}

/// What it means that all of `ranks` are of one other host.
std::string silent_host(std::span<const int> ranks, int own, std::span<const RankPlace> places) {
  const RankPlace& first = place_of(ranks.front(), places);
  const auto of_host = [&](int rank) { return on_one_host(place_of(rank, places), first); };
  if (on_one_host(first, place_of(own, places)) || !std::ranges::all_of(ranks, of_host)) return "";
  const std::string host = std::string("host ") + first.host.data();
  std::ptrdiff_t there = 0;
  for (int rank = 0; rank < std::ssize(places); ++rank) there += of_host(rank) ? 1 : 0;
  if (there == std::ssize(ranks)) return "no rank of " + host + " answers: it, or the link to it, may be lost";
  return "a rank of " + host + " hangs, or the host, or the link to it, is lost";
}

}  // namespace

RankPlace own_place() {
  RankPlace place;
  gethostname(place.host.data(), place.host.size() - 1);
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  boot.copy(place.boot.data(), place.boot.size() - 1);
  place.processes = namespace_of("/proc/self/ns/pid");
  place.network = namespace_of("/proc/self/ns/net");
  place.process = getpid();
  if (const auto status = status_of(place.process)) place.started = status->started;
  return place;
}

bool on_one_machine(const RankPlace& a, const RankPlace& b) {
  return a.boot == b.boot && (a.boot.front() != '\0' || a.host == b.host);
}

bool on_one_host(const RankPlace& a, const RankPlace& b) { return on_one_machine(a, b) && a.host == b.host; }

ProcessState state_of(const RankPlace& place, const RankPlace& own) {
  const bool seen = place.processes != 0 && place.processes == own.processes && on_one_machine(place, own);
  if (!seen || place.process <= 0) return ProcessState::kUnknown;
  if (kill(static_cast<pid_t>(place.process), 0) != 0 && errno == ESRCH) return ProcessState::kDead;
  const auto status = status_of(place.process);
  if (!status) return ProcessState::kUnknown;
  if (place.started != 0 && status->started != place.started) return ProcessState::kDead;
  switch (status->state) {
    case 'T':
    case 't': return ProcessState::kStopped;
    case 'Z':
    case 'X': return ProcessState::kDead;
    default: return ProcessState::kAlive;
  }
}

std::string name_of_rank(int rank, const RankPlace& place) {
  return "rank " + std::to_string(rank) + in_brackets(place);
}

std::string name_of_rank(int rank, std::span<const RankPlace> places) {
  return places.empty() ? "rank " + std::to_string(rank) : name_of_rank(rank, place_of(rank, places));
}

std::string names_of_ranks(std::span<const int> ranks, std::span<const RankPlace> places) {
  if (ranks.size() == 1) return name_of_rank(ranks.front(), places);
  std::string text = "ranks";
  const std::size_t named = std::min(ranks.size(), kNamedAtMost);
  for (std::size_t i = 0; i < named; ++i) {
    text += (i > 0 ? ", " : " ") + std::to_string(ranks[i]);
    if (!places.empty()) text += in_brackets(place_of(ranks[i], places));
  }
  return ranks.size() > named ? text + " and " + std::to_string(ranks.size() - named) + " more" : text;
}

std::string state_of_ranks(std::span<const int> ranks, int own, std::span<const RankPlace> places) {
  if (places.empty() || ranks.empty()) return "";
  const std::string stopped = stopped_ranks(ranks, own, places);
  return stopped.empty() ? silent_host(ranks, own, places) : stopped;
}

}  // namespace coe
