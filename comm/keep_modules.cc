#include <dlfcn.h>

extern "C" {

/// In builds with sanitizers modules stay loaded: Open MPI unloads its own before leaks are reported, whose frames then
/// have no name to suppress them by.
int dlclose(void* /*module*/) { return 0; }

/// What the linker is told to look for, so that it takes this file and not the sanitizer's dlclose.
void coe_keep_modules() {}
}
