// A library for LD_PRELOAD that counts what a program writes below one folder, and lets one such call go wrong:
//   COE_FAULT_FOLDER  the folder, an absolute path
//   COE_FAULT_LOG     a file to which every counted call is appended: number, name, path[, new path]
//   COE_FAULT_AT      the number, from 1, of the call that goes wrong; 0 or nothing: none
//   COE_FAULT         what happens to it: kill_before, kill_after, kill_midway (a write of half, then SIGKILL), short
//   (a
//                     write of half), EIO, or ENOSPC, which stays: nothing more can be created or written
//   COE_FAULT_RANK    under mpirun the rank in which it goes wrong; all log
//   COE_FAULT_SLOW    besides: milliseconds that every sync, and every opening of a file to read, takes longer
//   COE_FAULT_READ    instead of a call: the end of the names of files that cannot be opened to read
//   COE_FAULT_ERRNO   the number of the error that says so
// Counted are calls that create, write, sync, close, rename or remove. Descriptors that only read files do not count.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

namespace {

enum class Fault { kNone, kKillBefore, kKillAfter, kKillMidway, kShort, kEio, kEnospc };

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Fault fault_of(std::string_view name) {
  constexpr std::array<std::string_view, 7> kNames = {"",      "kill_before", "kill_after", "kill_midway",
                                                      "short", "EIO",         "ENOSPC"};
  return static_cast<Fault>(std::find(kNames.begin(), kNames.end(), name) - kNames.begin());
}

struct Plan {
  Plan() {
    folder = variable("COE_FAULT_FOLDER");
    log = variable("COE_FAULT_LOG");
    if (variable("COE_FAULT_RANK") != variable("OMPI_COMM_WORLD_RANK")) return;
    unreadable = variable("COE_FAULT_READ");
    read_error = std::atoi(std::string(variable("COE_FAULT_ERRNO")).c_str());
    fault = fault_of(variable("COE_FAULT"));
    at = std::atol(std::string(variable("COE_FAULT_AT")).c_str());
    slow = std::atol(std::string(variable("COE_FAULT_SLOW")).c_str());
  }
  std::string folder, log, unreadable;
  int read_error = 0;
  Fault fault = Fault::kNone;
  long at = 0, slow = 0;
};

const Plan& plan() {
  static const Plan kPlan;
  return kPlan;
}

std::string path_of(int descriptor) {
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const long size = syscall(SYS_readlinkat, AT_FDCWD, link.c_str(), path.data(), path.size());
  return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : std::string();
}

/// The absolute path of a name below an open directory.
std::string path_at(int directory, const char* name) {
  if (name[0] == '/') return name;
  std::array<char, 4096> here{};
  if (directory != AT_FDCWD) return path_of(directory) + '/' + name;
  return syscall(SYS_getcwd, here.data(), here.size()) > 0 ? std::string(here.data()) + '/' + name : name;
}

bool watched(std::string_view path) {
  const std::string& folder = plan().folder;
  return !folder.empty() && path.starts_with(folder) &&
         (path.size() == folder.size() || path[folder.size()] == '/' || path[folder.size()] == ' ');
}

bool writes_or_lists(int descriptor) {
  const long flags = syscall(SYS_fcntl, descriptor, F_GETFL);
  return flags >= 0 && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_DIRECTORY) != 0);
}

void append_to_log(const std::string& line) {
  if (plan().log.empty()) return;
  const long file = syscall(SYS_openat, AT_FDCWD, plan().log.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0644);
  if (file < 0) return;
  syscall(SYS_write, file, line.data(), line.size());
  syscall(SYS_close, file);
}

[[noreturn]] void die() {
  syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  std::abort();
}

void be_slow() {
  constexpr long kThousand = 1000, kMillion = 1'000'000;
  const timespec pause{plan().slow / kThousand, plan().slow % kThousand * kMillion};
  if (plan().slow > 0) nanosleep(&pause, nullptr);
}

std::atomic<long> counted{0};

/// One counted call; `really` makes it. What grows is refused by a full disk.
template <class Really>
long counted_call(std::string_view name, const std::string& path, bool grows, const Really& really) {
  const long number = ++counted;
  const bool mine = number == plan().at;
  const Fault fault = plan().fault;
  if (mine && fault == Fault::kKillBefore) die();
  append_to_log(std::to_string(number) + ' ' + std::string(name) + ' ' + path + '\n');
  if (mine && fault == Fault::kEio) {
    errno = EIO;
    return -1;
  }
  if (plan().at > 0 && number >= plan().at && grows && fault == Fault::kEnospc) {
    errno = ENOSPC;
    return -1;
  }
  const long result = really();
  if (mine && fault == Fault::kKillAfter) die();
  return result;
}

long counted_write(int descriptor, const std::string& path, std::size_t size, auto really) {
  const Fault fault = plan().fault;
  const bool half = counted.load() + 1 == plan().at && (fault == Fault::kShort || fault == Fault::kKillMidway);
  const long result = counted_call("write", path, true, [&] { return really(half && size > 1 ? size / 2 : size); });
  if (half && fault == Fault::kKillMidway) die();
  static_cast<void>(descriptor);
  return result;
}

int open_at(int directory, const char* name, int flags, mode_t mode) {
  const auto really = [&] { return syscall(SYS_openat, directory, name, flags, mode); };
  const std::string& unreadable = plan().unreadable;
  if (!unreadable.empty() && (flags & O_ACCMODE) == O_RDONLY && path_at(directory, name).ends_with(unreadable)) {
    errno = plan().read_error;
    return -1;
  }
  const bool counts = (flags & O_ACCMODE) != O_RDONLY || (flags & O_DIRECTORY) != 0;
  if (!counts && plan().slow > 0 && watched(path_at(directory, name))) be_slow();
  const std::string path = counts ? path_at(directory, name) : std::string();
  if (!watched(path)) return static_cast<int>(really());
  return static_cast<int>(counted_call("open", path, (flags & O_CREAT) != 0, really));
}

int on_descriptor(const char* name, long number, int descriptor, bool grows) {
  const auto really = [&] { return syscall(number, descriptor); };
  const std::string path = path_of(descriptor);
  if (!watched(path) || !writes_or_lists(descriptor)) return static_cast<int>(really());
  if (grows) be_slow();
  return static_cast<int>(counted_call(name, path, grows, really));
}

int on_path(const char* name, int directory, const char* at, bool grows, auto really) {
  const std::string path = path_at(directory, at);
  if (!watched(path)) return static_cast<int>(really());
  return static_cast<int>(counted_call(name, path, grows, really));
}

mode_t mode_in(int flags, va_list& list) { return (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0; }

}  // namespace

extern "C" {

int open(const char* name, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_in(flags, list);
  va_end(list);
  return open_at(AT_FDCWD, name, flags, mode);
}

int open64(const char* name, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_in(flags, list);
  va_end(list);
  return open_at(AT_FDCWD, name, flags, mode);
}

int openat(int directory, const char* name, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_in(flags, list);
  va_end(list);
  return open_at(directory, name, flags, mode);
}

ssize_t write(int descriptor, const void* bytes, size_t size) {
  const auto really = [&](std::size_t part) { return syscall(SYS_write, descriptor, bytes, part); };
  const std::string path = path_of(descriptor);
  return watched(path) ? counted_write(descriptor, path, size, really) : really(size);
}

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  const auto really = [&](std::size_t part) { return syscall(SYS_pwrite64, descriptor, bytes, part, offset); };
  const std::string path = path_of(descriptor);
  return watched(path) ? counted_write(descriptor, path, size, really) : really(size);
}

int fsync(int descriptor) { return on_descriptor("fsync", SYS_fsync, descriptor, true); }
int fdatasync(int descriptor) { return on_descriptor("fdatasync", SYS_fdatasync, descriptor, true); }
int close(int descriptor) { return on_descriptor("close", SYS_close, descriptor, false); }

int rename(const char* from, const char* to) {
  const std::string path = path_at(AT_FDCWD, to);
  const auto really = [&] { return syscall(SYS_rename, from, to); };
  if (!watched(path)) return static_cast<int>(really());
  return static_cast<int>(counted_call("rename", path_at(AT_FDCWD, from) + ' ' + path, true, really));
}

int mkdir(const char* name, mode_t mode) {
  return on_path("mkdir", AT_FDCWD, name, true, [&] { return syscall(SYS_mkdir, name, mode); });
}

int unlinkat(int directory, const char* name, int flags) {
  return on_path("unlink", directory, name, false, [&] { return syscall(SYS_unlinkat, directory, name, flags); });
}
int unlink(const char* name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char* name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char* name) {
  const int result = unlinkat(AT_FDCWD, name, 0);
  return result != 0 && errno == EISDIR ? rmdir(name) : result;
}

}  // extern "C"
