#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace coe {

/// Where a rank's process runs: what ranks tell one another once, as plain bytes.
struct RankPlace {
  std::array<char, 64> host{};  ///< Ends with a zero byte.
  std::array<char, 40> boot{};  ///< One for each start of a machine; empty where the system does not tell.
  std::uint64_t processes = 0;  ///< The namespace in which `process` means something, 0 where it is not known,
  std::uint64_t network = 0;    ///< and that of the sockets.
  std::int64_t process = 0;
  std::uint64_t started = 0;  ///< In the system's ticks: a process's number is given again; 0 where it is not known.

  bool operator==(const RankPlace&) const = default;
};

RankPlace own_place();

/// Whether both run on one machine, and share its processors and memory.
bool on_one_machine(const RankPlace& a, const RankPlace& b);
/// Whether they also call it by one name: containers of one machine need not.
bool on_one_host(const RankPlace& a, const RankPlace& b);

enum class ProcessState { kUnknown, kAlive, kStopped, kDead };

/// Of a process that `place` names, as far as this one can see it: of another machine or another namespace of processes
/// nothing is known.
ProcessState state_of(const RankPlace& place, const RankPlace& own);

/// "rank 3 (node1, pid 4711)".
std::string name_of_rank(int rank, const RankPlace& place);
/// The same; "rank 3" where no places are known.
std::string name_of_rank(int rank, std::span<const RankPlace> places);
/// "ranks 1 (node1, pid 4711), 2 (node2, pid 815) and 60 more"; ranks ascending.
std::string names_of_ranks(std::span<const int> ranks, std::span<const RankPlace> places);
/// What is worth knowing of ranks that rank `own` waits for: which of them are stopped, or that all of them are of one
/// other host, which may be lost. Empty where that is nothing.
std::string state_of_ranks(std::span<const int> ranks, int own, std::span<const RankPlace> places);

}  // namespace coe
