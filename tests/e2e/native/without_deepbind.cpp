// For programs with sanitizers, which end a program that binds a library deeply, as the TBB of
// OpenVINO does: they would not see what such a library allocates.
#include <dlfcn.h>

extern "C" void *dlopen(const char *name, int mode) noexcept {
  using Open = void *(*)(const char *, int);
  static const auto next = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "dlopen"));
  return next(name, mode & ~RTLD_DEEPBIND);
}
