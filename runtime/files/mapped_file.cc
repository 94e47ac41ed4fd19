#include "runtime/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/memory/error.h"

namespace coe {

namespace {

/// Closes a file descriptor on leaving a scope; a mapping outlives it.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

/// Whether an open() that fails so says that no such file is there.
bool says_absent(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG || error == ENXIO;
}

[[noreturn]] void refuse(const std::filesystem::path& path, int error) {
  fail(says_absent(error) ? ErrorCode::kBadInput : ErrorCode::kSystem, path.string(),
       ": cannot be read: ", std::strerror(error));
}

constexpr std::size_t kMostRead = std::size_t{64} << 20;

/// The first `size` bytes of a file.
Buffer read_bytes(const Descriptor& file, std::size_t size, const std::filesystem::path& path) {
  Buffer bytes(size);
  for (std::size_t done = 0; done < size;) {
    const ssize_t got = pread(file.number(), bytes.data() + done, size - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse(path, errno);
    check(got > 0, path.string(), ": has become shorter while it was read");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  // Without O_NONBLOCK a pipe with no writer would block here.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) refuse(path, errno);
  struct stat status {};
  if (fstat(file.number(), &status) != 0) refuse(path, errno);
  check(S_ISREG(status.st_mode), path.string(), ": is not a regular file");
  check(status.st_size > 0, path.string(), ": is empty");

  const auto size = static_cast<std::size_t>(status.st_size);
  if (size <= kMostRead) {
    read_ = read_bytes(file, size, path);
    data_ = read_.data();
    size_ = size;
    return;
  }
  void* const memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (memory == MAP_FAILED) fail(ErrorCode::kSystem, path.string(), ": cannot be mapped: ", std::strerror(errno));
  data_ = static_cast<const std::byte*>(memory);
  size_ = size;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr && data_ != read_.data()) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : read_(std::move(other.read_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(read_, other.read_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace coe
