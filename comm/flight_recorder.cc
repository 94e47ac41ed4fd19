#include "comm/flight_recorder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <new>
#include <system_error>

namespace coe {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::int64_t nanoseconds(Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

std::int64_t wall_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void refuse(const fs::path& path, int error) {
  fail(ErrorCode::kSystem, "flight recorder: ", path.string(), " cannot be made: ", std::strerror(error));
}

/// A new file of kFlightFileBytes, on which the disk has room for all of them, mapped to be written.
void* map_new_file(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) refuse(path, errno);
  int error = posix_fallocate(descriptor, 0, kFlightFileBytes);
  void* memory = MAP_FAILED;
  if (error == 0) {
    memory = mmap(nullptr, kFlightFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0);
    if (memory == MAP_FAILED) error = errno;
  }
  close(descriptor);
  if (error != 0) refuse(path, error);
  return memory;
}

/// Readers of other processes see whole records: the number is taken away first and comes last.
void set_number(FlightRecord& record, std::uint64_t number) {
  std::atomic_thread_fence(std::memory_order_release);
  std::atomic_ref(record.number).store(number, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

std::string second_line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  line.clear();
  std::getline(file, line);
  return line;
}

bool is_own(const fs::path& path) {
  const std::string name = path.filename().string();
  return (name.starts_with("failure_") && name.ends_with(".txt")) ||
         (name.starts_with("rank_") && name.ends_with(".flight"));
}

}  // namespace

fs::path failure_path(const fs::path& folder, int number) {
  return folder / ("failure_" + std::to_string(number) + ".txt");
}

FlightRecorder::FlightRecorder(fs::path folder, int rank, int ranks) : folder_(std::move(folder)), rank_(rank) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) refuse(folder_, error.value());
  auto* const memory = static_cast<std::byte*>(map_new_file(flight_path(folder_, rank)));
  FlightHeader header;
  header.rank = rank;
  header.ranks = ranks;
  header.process = getpid();
  header.wall_start = wall_now();
  header.steady_start = header.alive = nanoseconds(Clock::now());
  gethostname(header.host.data(), header.host.size() - 1);
  header_ = new (memory) FlightHeader(header);
  records_ = reinterpret_cast<FlightRecord*>(memory + sizeof(FlightHeader));
}

FlightRecorder::~FlightRecorder() { munmap(header_, kFlightFileBytes); }

void FlightRecorder::clear(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_own(entry.path())) fs::remove(entry.path(), ignored);
}

void FlightRecorder::remove() {
  // A file that is still open stays in its folder on a disk of the network (.nfs...), so nothing may map it any more.
  void* const memory =
      mmap(header_, kFlightFileBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (memory == MAP_FAILED) return;
  header_ = new (memory) FlightHeader();
  std::error_code ignored;
  fs::remove(flight_path(folder_, rank_), ignored);
  fs::remove(folder_, ignored);  // refused while others' files are in it
}

std::uint64_t FlightRecorder::begin(const Phase& phase, std::uint64_t bytes_out, std::uint64_t bytes_in) {
  const std::uint64_t number = ++last_;
  FlightRecord& record = records_[number % kFlightRecords];
  set_number(record, 0);
  record.step = step_;
  record.posted = nanoseconds(Clock::now());
  record.ended = 0;
  record.bytes_out = bytes_out;
  record.bytes_in = bytes_in;
  record.layer = phase.layer;
  record.iteration = phase.iteration;
  record.chunk = phase.chunk;
  record.state = FlightState::kOpen;
  record.missing = 0;
  record.phase.fill('\0');
  std::memcpy(record.phase.data(), phase.name.data(), std::min(phase.name.size(), record.phase.size() - 1));
  set_number(record, number);
  show_life(record.posted);
  return number;
}

void FlightRecorder::alive(Time now) { show_life(nanoseconds(now)); }

void FlightRecorder::show_life(std::int64_t now) {
  if (now - header_->alive >= kStoodStill) {
    header_->still_from = header_->alive;
    header_->still_to = now;
  }
  std::atomic_ref(header_->alive).store(now, std::memory_order_relaxed);
}

/// A record of which so many are newer is no longer there.
FlightRecord* FlightRecorder::find(std::uint64_t number) {
  FlightRecord& record = records_[number % kFlightRecords];
  return number != 0 && record.number == number ? &record : nullptr;
}

void FlightRecorder::miss(std::uint64_t number, std::span<const int> peers) {
  FlightRecord* const record = find(number);
  if (record == nullptr) return;
  std::copy_n(peers.begin(), std::min(peers.size(), FlightRecord::kNamed), record->named.begin());
  record->missing = static_cast<std::uint32_t>(peers.size());
}

void FlightRecorder::end(std::uint64_t number, FlightState state) {
  const std::int64_t now = nanoseconds(Clock::now());
  show_life(now);
  FlightRecord* const record = find(number);
  if (record == nullptr) return;
  record->ended = now;
  record->state = state;
}

FailureClaim FlightRecorder::claim_failure(const std::string& message, int number) const {
  const fs::path path = failure_path(folder_, number);
  std::FILE* const file = std::fopen(path.c_str(), "wxe");
  if (file == nullptr && errno == EEXIST) return {false, second_line_of(path)};
  const std::string host = header_->host.data();
  if (file != nullptr) {
    std::fprintf(file, "%s\n%s\n", message.c_str(), host.c_str());
    std::fclose(file);
  }
  return {true, host};
}

bool FlightRecorder::job_has_failed() const { return access(failure_path(folder_, 0).c_str(), F_OK) == 0; }

}  // namespace coe
