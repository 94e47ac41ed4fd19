#pragma once

namespace coe {

/// A valid configuration that sets nothing it need not; layer.top_k stands in line 10.
inline constexpr const char* kSmallConfig = R"([model]
hidden = 8
layers = 2
heads = 2
sequence = 4

[layer]
expert_hidden = 6
experts = 5
top_k = 2

[training]
steps = 3
batch = 4
)";

}  // namespace coe
