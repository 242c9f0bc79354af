// A device guard for CUDA that does nothing. A CPU build of torch has none, and without one it refuses to index tensors that
// say they are on a GPU, or to make numbers of them.
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace c10::impl {
C10_REGISTER_GUARD_IMPL(CUDA, NoOpDeviceGuardImpl<DeviceType::CUDA>)
}
