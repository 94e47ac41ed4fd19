#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/memory/buffer.h"
#include "kernels/memory/tensor.h"
#include "runtime/files/mapped_file.h"

namespace coe {

/// What a safetensors file is made of, so that damage can be found and placed later: checksum.h over each part.
struct SafetensorsDigest {
  std::uint64_t bytes = 0;                       ///< of the whole file
  std::uint64_t header = 0;                      ///< its checksum, the eight bytes of its length included
  std::map<std::string, std::uint64_t> tensors;  ///< the checksum of each one's data

  bool operator==(const SafetensorsDigest&) const = default;
};

/// A safetensors file open for reading, its data mapped. Movable; read-only, so threads may share it.
class SafetensorsFile {
 public:
  /// Throws kBadInput, naming the file and the tensor, for anything that is not exactly what the format says.
  explicit SafetensorsFile(const std::filesystem::path& file);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// In the order of their data.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(std::string_view name) const { return tensors_.contains(name); }
  /// A view that must not be written to, valid while this lives. Throws kBadInput, naming the file, where there is
  /// none.
  Tensor tensor(std::string_view name) const;
  /// Throws kBadInput, naming the file and the part, where the header is not what `digest` says.
  void require_header(const SafetensorsDigest& digest) const;
  /// The same for one tensor's data.
  void require_tensor(const SafetensorsDigest& digest, const std::string& name) const;

 private:
  std::filesystem::path path_;
  MappedFile mapping_;
  std::uint64_t header_bytes_ = 0;  ///< its length's eight included
  std::vector<Buffer> realigned_;   ///< Copies of tensors that lie askew in the file.
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> names_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// Writes a safetensors file beside its place and renames it there once it is on disk. Tensors stand in order of
/// falling element size, so that all are aligned. Throws kSystem where the system refuses, kInternal for a name that
/// stands twice. `wrote`, unless empty, is told now and then how many bytes more are written.
SafetensorsDigest write_safetensors(const std::filesystem::path& file,
                                    const std::map<std::string, std::string>& metadata,
                                    std::vector<NamedTensor> tensors,
                                    const std::function<void(std::uint64_t bytes)>& wrote = {});

}  // namespace coe
