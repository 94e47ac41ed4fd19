#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/buffer.h"
#include "kernels/tensor.h"
#include "runtime/durable_file.h"
#include "runtime/mapped_file.h"

namespace coe {

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
  /// The whole file, header included.
  std::span<const std::byte> bytes() const { return mapping_.bytes(); }

 private:
  std::filesystem::path path_;
  MappedFile mapping_;
  std::vector<Buffer> realigned_;  ///< Copies of tensors that lie askew in the file.
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
/// stands twice.
FileDigest write_safetensors(const std::filesystem::path& file, const std::map<std::string, std::string>& metadata,
                             std::vector<NamedTensor> tensors);

}  // namespace coe
