#include "runtime/router.h"

#include "runtime/relu_router.h"
#include "runtime/softmax_topk_router.h"

namespace coe {

std::unique_ptr<Router> make_router(const LayerConfig& config) {
  if (config.router == RouterKind::kRelu) return std::make_unique<ReluRouter>();
  return std::make_unique<SoftmaxTopkRouter>(config);
}

}  // namespace coe
