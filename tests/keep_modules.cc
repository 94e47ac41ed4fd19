#include <dlfcn.h>

extern "C" {

/// In builds with sanitizers modules stay loaded: Open MPI unloads its own before leaks are reported, whose frames then
/// have no name to suppress them by.
int dlclose(void* /*module*/) { return 0; }
}
