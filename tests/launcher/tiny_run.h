#pragma once

#include <string>

namespace coe {

/// A CoE-2(2/4) that trains in milliseconds.
inline const std::string kTinyConfig = R"([model]
vocab = 256
hidden = 16
layers = 1
heads = 2
sequence = 32

[layer]
expert_hidden = 8
experts = 4
top_k = 2
iterations = 2

[training]
steps = 4
batch = 4

[validation]
every = 2
sequences = 4

[output]
directory = "run"
)";

}  // namespace coe
