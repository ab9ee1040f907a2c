// SPDX-License-Identifier: Apache-2.0
// Shared libraries that are opened while the program runs.
#pragma once

#include <initializer_list>
#include <string>

#include "resnet/types.hpp"

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace resnet::detail {

#ifdef _WIN32

inline void *open_library(const std::string &name, std::string &reason) {
  // Not the folder of the system first: Windows has an ONNX Runtime of its own there, an old one.
  HMODULE found = LoadLibraryExA(name.c_str(), nullptr, LOAD_LIBRARY_SEARCH_APPLICATION_DIR |
                                                            LOAD_LIBRARY_SEARCH_USER_DIRS);
  if (found == nullptr) found = LoadLibraryA(name.c_str());
  if (found == nullptr) reason = "Windows' error " + std::to_string(GetLastError());
  return reinterpret_cast<void *>(found);
}

inline void *symbol_of(void *library, const char *name) {
  return reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(library), name));
}

#else

/// The folder of the program or library that this code is in, with its last slash; "": unknown.
inline std::string own_folder() {
  static const char here = 0;
  Dl_info info;
  if (dladdr(&here, &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string file = info.dli_fname;
  return file.substr(0, file.rfind('/') + 1);  // npos + 1 is 0
}

/// Searched as the loader does it (LD_LIBRARY_PATH, RUNPATH, the system's folders), then beside
/// this code and in ../lib: sanitizers and other hooks into dlopen() hide the RUNPATH from it.
inline void *open_library(const std::string &name, std::string &reason) {
  const std::string folder = own_folder();
  for (const std::string &path : {name, folder + name, folder + "../lib/" + name}) {
    if (void *found = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return found;
    const char *said = dlerror();
    // A library that is there, but can't be loaded, is the better reason.
    const bool absent = said == nullptr || std::string(said).rfind(path + ": cannot open", 0) == 0;
    if (!absent) reason = said;
  }
  return nullptr;
}

inline void *symbol_of(void *library, const char *name) { return dlsym(library, name); }

#endif

/// Returns `symbol` of the first library of `names` that can be opened, which stays open for good:
/// runtimes keep threads. Throws Error: there is none.
inline void *library_symbol(std::initializer_list<const char *> names, const char *symbol,
                            const std::string &title) {
  std::string reason;
  for (const char *name : names) {
    void *library = open_library(name, reason);
    if (library == nullptr) continue;
    if (void *found = symbol_of(library, symbol)) return found;
    throw Error(Code::no_runtime, std::string(name) + " is not " + title + ": it has no " + symbol);
  }
  if (reason.empty()) {
    reason = std::string(*names.begin()) +
             " is neither beside the program nor where libraries are looked for";
  }
  throw Error(Code::no_runtime, title + " is not there: " + reason);
}

}  // namespace resnet::detail
