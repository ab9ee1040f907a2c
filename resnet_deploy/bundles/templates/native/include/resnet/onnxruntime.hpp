// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime's C++ API, such that a library that is too old is an error and no crash.
#pragma once

#if defined(ORT_API_VERSION) && !defined(ORT_API_MANUAL_INIT)
#error "include resnet_classifier.hpp before ONNX Runtime's headers, or define ORT_API_MANUAL_INIT"
#endif
#ifndef ORT_API_MANUAL_INIT
#define ORT_API_MANUAL_INIT
#endif
#if __has_include(<onnxruntime_cxx_api.h>)
#include <onnxruntime_cxx_api.h>
#else
#include <onnxruntime/onnxruntime_cxx_api.h>  // in Apple's frameworks, and below /usr/include
#endif

#include <cstdlib>
#include <string>

#include "resnet/threads.hpp"
#include "resnet/types.hpp"

namespace resnet {

/// How a session is opened.
struct Options {
  int threads = 0;    ///< of one call; 0: the physical cores that this process may use
  bool spin = true;   ///< idle threads wait actively: fastest when nothing else wants the cores
  std::string model;  ///< which of the bundle's model files; empty: the first
};

inline const char *onnxruntime_version() { return OrtGetApiBase()->GetVersionString(); }

namespace detail {

/// "1.22.0" becomes 1022, to be compared.
inline long release_number(const char *version) {
  char *end = nullptr;
  const long major = std::strtol(version, &end, 10);
  const long minor = *end == '.' ? std::strtol(end + 1, nullptr, 10) : 0;
  return major * 1000 + minor;
}

/// Makes the C++ API usable, and returns `contract`. Throws Error: the library is older than the
/// model needs.
inline const Contract &runnable(const Contract &contract) {
  const char *found = onnxruntime_version();
  // Asked first: for a version that it does not have, the library prints a message of its own.
  const bool new_enough = release_number(found) >= release_number(contract.min_onnxruntime);
  // One assignment, however many threads open classifiers.
  static const OrtApi *const api =
      new_enough ? OrtGetApiBase()->GetApi(contract.api_version) : nullptr;
  static const bool set = (Ort::InitApi(api), true);
  if (api == nullptr || !set) {
    throw Error(Code::old_onnxruntime, std::string("ONNX Runtime ") + found +
                                           " is too old: this model needs " +
                                           contract.min_onnxruntime + " or newer");
  }
  return contract;
}

inline Ort::SessionOptions session_options(const Options &options) {
  if (options.threads < 0) throw Error(Code::bad_argument, "threads cannot be negative");
  Ort::SessionOptions made;
  made.SetIntraOpNumThreads(options.threads == 0 ? default_threads() : options.threads);
  made.SetInterOpNumThreads(1);
  made.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
  made.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  made.AddConfigEntry("session.intra_op.allow_spinning", options.spin ? "1" : "0");
  // Of a file in ORT format, whose fusions are saved beside the graph; without them an int8 file
  // runs in float. It was checked before, so it may be trusted.
  made.AddConfigEntry("session.enable_saved_runtime_optimizations", "1");
  return made;
}

inline Ort::Env quiet_environment() {
  Ort::Env made(ORT_LOGGING_LEVEL_FATAL, "resnet");
  made.DisableTelemetryEvents();  // nothing is sent anywhere
  return made;
}

}  // namespace detail
}  // namespace resnet
