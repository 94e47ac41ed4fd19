#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "runtime/config/config.h"
#include "runtime/files/safetensors.h"
#include "runtime/model/parameters.h"

namespace coe {

/// A layer or a whole decoder with its input and the right answers: safetensors, metadata `format` "coe-layer-case-1"
/// or "coe-model-case-1".
class CaseFile {
 public:
  /// Throws kBadInput for a file that is no case, and for options that this build does not know.
  explicit CaseFile(const std::filesystem::path& path);

  const SafetensorsFile& tensors() const { return tensors_; }
  bool is_model() const { return is_model_; }
  const LayerConfig& layer() const { return layer_; }
  /// Tokens of a sequence.
  std::int64_t length() const { return length_; }
  /// Of a model case.
  const ModelConfig& model() const { return model_; }
  const TrainingConfig& training() const { return training_; }

  /// The tensor of `name`; throws kBadInput unless it is there with that dtype and shape.
  Tensor tensor(const std::string& name, DType dtype, Shape shape) const;
  /// Copies the weights of all `parameters` from the file.
  void load_weights(Parameters& parameters) const;

 private:
  SafetensorsFile tensors_;
  std::string name_;
  bool is_model_ = false;
  std::int64_t length_ = 0;
  LayerConfig layer_;
  ModelConfig model_;
  TrainingConfig training_;
};

}  // namespace coe
