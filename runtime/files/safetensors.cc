#include "runtime/files/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "kernels/memory/error.h"
#include "runtime/files/checksum.h"
#include "runtime/files/durable_file.h"
#include "runtime/files/json_walk.h"
#include "runtime/files/safetensors_header.h"

namespace coe {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors holds little-endian numbers");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;
constexpr std::size_t kToldAtOnce = std::size_t{64} << 20;

std::uint64_t header_bytes(std::span<const std::byte> file, const std::string& name) {
  check(file.size() >= kLengthBytes, name, ": ", file.size(), " bytes, a safetensors file has at least 8");
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  check(length <= kLongestHeader, name, ": not a safetensors file: its header would have ", length, " bytes, at most ",
        kLongestHeader);
  check(length <= file.size() - kLengthBytes, name, ": safetensors header has ", length, " bytes, the file has ",
        file.size() - kLengthBytes, " after its length");
  return length;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& file) : path_(file), mapping_(file) {
  const std::span<const std::byte> bytes = mapping_.bytes();
  const std::uint64_t length = header_bytes(bytes, file.string());
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + length);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  SafetensorsHeader header = parse_safetensors_header(text, data.size(), file.string());
  header_bytes_ = kLengthBytes + length;
  metadata_ = std::move(header.metadata);
  names_.reserve(header.entries.size());
  for (SafetensorsEntry& entry : header.entries) {
    // A Tensor knows no const; its user is told not to write.
    auto* place = const_cast<std::byte*>(data.data() + entry.begin);
    const std::size_t size = entry.end - entry.begin;
    if (reinterpret_cast<std::uintptr_t>(place) % size_of(entry.dtype) != 0 && size > 0) {
      const Buffer& copy = realigned_.emplace_back(size);
      place = static_cast<std::byte*>(std::memcpy(copy.data(), place, size));
    }
    tensors_.emplace(entry.name, Tensor(place, entry.dtype, entry.shape));
    names_.push_back(std::move(entry.name));
  }
}

Tensor SafetensorsFile::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  check(found != tensors_.end(), path_.string(), ": has no tensor ", name);
  return found->second;
}

void SafetensorsFile::require_header(const SafetensorsDigest& digest) const {
  check(checksum_of(mapping_.bytes().first(header_bytes_)) == digest.header, path_.string(),
        ": the header is damaged: it has another checksum than when it was written");
}

void SafetensorsFile::require_tensor(const SafetensorsDigest& digest, const std::string& name) const {
  const Tensor found = tensor(name);
  const auto wanted = digest.tensors.find(name);
  const bool right = wanted != digest.tensors.end() &&
                     checksum_of(std::span<const std::byte>(found.raw(), found.bytes())) == wanted->second;
  check(right, path_.string(), ": tensor ", in_quotes(name),
        " is damaged: it has another checksum than when it was written");
}

SafetensorsDigest write_safetensors(const std::filesystem::path& file,
                                    const std::map<std::string, std::string>& metadata,
                                    std::vector<NamedTensor> tensors,
                                    const std::function<void(std::uint64_t bytes)>& wrote) {
  const auto element_size = [](const NamedTensor& named) { return size_of(named.tensor.dtype()); };
  std::ranges::stable_sort(tensors, std::ranges::greater{}, element_size);
  SafetensorsHeader header{metadata, {}};
  std::set<std::string_view> names;
  std::uint64_t end = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!names.insert(name).second) fail(ErrorCode::kInternal, file.string(), ": tensor ", name, " stands twice");
    header.entries.push_back({name, tensor.dtype(), tensor.shape(), end, end + tensor.bytes()});
    end += tensor.bytes();
  }
  std::string text = safetensors_header_text(header);
  const std::uint64_t length = text.size();
  text.insert(0, reinterpret_cast<const char*>(&length), kLengthBytes);
  SafetensorsDigest digest{text.size() + end, checksum_of(std::as_bytes(std::span(text))), {}};
  DurableFile out(file);
  out.write(text);
  for (const auto& [name, tensor] : tensors) {
    std::span<const std::byte> data(tensor.raw(), tensor.bytes());
    digest.tensors[name] = checksum_of(data);
    while (!data.empty()) {
      const std::span<const std::byte> part = data.first(std::min(data.size(), kToldAtOnce));
      out.write(part);
      if (wrote) wrote(part.size());
      data = data.subspan(part.size());
    }
  }
  out.commit();
  return digest;
}

}  // namespace coe
