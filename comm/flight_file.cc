#include "comm/flight_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

namespace coe {
namespace {

constexpr std::int32_t kMostRanks = 1 << 24;

class OpenFile {
 public:
  // Without O_NONBLOCK a pipe with no writer would block here.
  explicit OpenFile(const std::filesystem::path& path)
      : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    check(descriptor_ >= 0, "flight file: ", path.string(), ": ", std::strerror(errno));
  }
  ~OpenFile() { close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  void check_size() const {
    struct stat status {};
    check(fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode), "flight file: ", path_.string(),
          " is no regular file");
    check(static_cast<std::size_t>(status.st_size) == kFlightFileBytes, "flight file: ", path_.string(), " has ",
          status.st_size, " bytes, must have ", kFlightFileBytes);
  }
  void read(std::span<std::byte> bytes) const {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t got = ::read(descriptor_, bytes.data() + done, bytes.size() - done);
      check(got > 0, "flight file: ", path_.string(), " ends after ", done, " bytes of ", bytes.size());
      done += static_cast<std::size_t>(got);
    }
  }

 private:
  const std::filesystem::path& path_;
  int descriptor_;
};

FlightHeader read_header(const OpenFile& file, const std::filesystem::path& path) {
  FlightHeader header;
  file.read(std::as_writable_bytes(std::span(&header, 1)));
  check(header.magic == FlightHeader::kMagic, "flight file: ", path.string(), " does not begin as a flight file does");
  file.check_size();
  check(header.ranks >= 1 && header.ranks <= kMostRanks && header.rank >= 0 && header.rank < header.ranks,
        "flight file: ", path.string(), " is of rank ", header.rank, " of ", header.ranks);
  check(header.host.back() == '\0', "flight file: ", path.string(), " has a host name without an end");
  return header;
}

bool makes_sense(const FlightRecord& record, std::size_t slot) {
  const bool state = record.state >= FlightState::kOpen && record.state <= FlightState::kGivenUp;
  return record.number % kFlightRecords == slot && state && record.phase.back() == '\0';
}

}  // namespace

std::string FlightRecord::text() const {
  std::string name = phase.data();
  for (char& letter : name)
    if (letter < ' ' || letter > '~') letter = '?';
  std::string where = Phase{name, layer, iteration, chunk}.text();
  return step > 0 ? where + " of step " + std::to_string(step) : where;
}

std::int64_t FlightFile::wall(std::int64_t steady) const {
  // Unsigned: what a file claims must not overflow.
  const auto number = [](std::int64_t time) { return static_cast<std::uint64_t>(time); };
  return static_cast<std::int64_t>(number(header.wall_start) + number(steady) - number(header.steady_start));
}

std::filesystem::path flight_path(const std::filesystem::path& folder, int rank) {
  return folder / ("rank_" + std::to_string(rank) + ".flight");
}

bool is_flight_file(const std::filesystem::path& path) {
  std::array<char, FlightHeader::kMagic.size()> magic{};
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return false;
  const ssize_t got = read(descriptor, magic.data(), magic.size());
  close(descriptor);
  return got == static_cast<ssize_t>(magic.size()) && magic == FlightHeader::kMagic;
}

FlightHeader read_flight_header(const std::filesystem::path& path) { return read_header(OpenFile(path), path); }

FlightFile read_flight_file(const std::filesystem::path& path) {
  const OpenFile file(path);
  FlightFile result{path, read_header(file, path), std::vector<FlightRecord>(kFlightRecords)};
  file.read(std::as_writable_bytes(std::span(result.records)));
  for (std::size_t slot = 0; slot < kFlightRecords; ++slot) {
    const FlightRecord& record = result.records[slot];
    check(record.number == 0 || makes_sense(record, slot), "flight file: ", path.string(), ": record ", slot,
          " is damaged");
  }
  std::erase_if(result.records, [](const FlightRecord& record) { return record.number == 0; });
  std::ranges::sort(result.records, {}, &FlightRecord::number);
  return result;
}

}  // namespace coe
