#include "comm/nccl_messages.h"

namespace coe {

std::string_view nccl_missing() {
  return "this build has no NCCL: install libnccl-dev, or PyPI's nvidia-nccl with -DNCCL_ROOT=its folder, and build "
         "with -DCOE_CUDA=ON";
}

std::unique_ptr<DeviceMessages> make_nccl_messages(const Group& /*group*/, Device /*device*/,
                                                   const NcclOptions& /*options*/) {
  fail(ErrorCode::kBadInput, "nccl: ", nccl_missing());
}

}  // namespace coe
