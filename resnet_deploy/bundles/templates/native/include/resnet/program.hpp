// SPDX-License-Identifier: Apache-2.0
// Where a program of this bundle finds the bundle, wherever both were moved.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#elif defined(__APPLE__)
#include <mach-o/dyld.h>
#endif

namespace resnet {

/// Returns the folder of the running program, links resolved; `called` is its argv[0]. Empty where
/// it can't be told.
inline std::filesystem::path program_folder(const char *called) {
  namespace fs = std::filesystem;
  std::error_code failed;
#ifdef _WIN32
  (void)called;
  std::vector<wchar_t> name(32768);  // the longest there is
  const DWORD length = GetModuleFileNameW(nullptr, name.data(), static_cast<DWORD>(name.size()));
  return fs::path(std::wstring(name.data(), length)).parent_path();
#else
#ifdef __APPLE__
  std::uint32_t size = 0;
  _NSGetExecutablePath(nullptr, &size);
  std::vector<char> name(size + 1);
  fs::path program = _NSGetExecutablePath(name.data(), &size) == 0 ? name.data() : "";
#else
  fs::path program = fs::read_symlink("/proc/self/exe", failed);
#endif
  const std::string text = called == nullptr ? "" : called;
  // Without /proc: as it was called, or found in PATH.
  if (program.empty() && text.find('/') != std::string::npos) program = text;
  if (program.empty() && !text.empty()) {
    const char *value = std::getenv("PATH");
    const std::string folders = value == nullptr ? "" : value;
    for (std::size_t start = 0; start < folders.size();) {
      const std::size_t end = std::min(folders.find(':', start), folders.size());
      const fs::path candidate = fs::path(folders.substr(start, end - start)) / text;
      if (fs::is_regular_file(candidate, failed)) {
        program = candidate;
        break;
      }
      start = end + 1;
    }
  }
  if (program.empty()) return {};
  const fs::path resolved = fs::canonical(program, failed);
  return (failed ? program : resolved).parent_path();
#endif
}

/// Returns the folder of the bundle that the running program belongs to: share/resnet_classifier
/// beside an installed program, what is above the folder that it was built in, or else the current
/// folder. `called` is its argv[0].
inline std::filesystem::path bundle_folder(const char *called) {
  const std::filesystem::path program = program_folder(called);
  std::error_code failed;
  if (!program.empty()) {
    for (const char *way : {"../share/resnet_classifier", "..", "../.."}) {
      const std::filesystem::path folder = (program / way).lexically_normal();
      if (std::filesystem::is_regular_file(folder / "manifest.json", failed)) return folder;
    }
  }
  return ".";
}

}  // namespace resnet
