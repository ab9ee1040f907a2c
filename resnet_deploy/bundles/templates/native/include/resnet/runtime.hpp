// SPDX-License-Identifier: Apache-2.0
// What runs a network: one interface in front of ONNX Runtime and OpenVINO.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "resnet/threads.hpp"
#include "resnet/types.hpp"

namespace resnet {

/// How a classifier is opened.
struct Options {
  int threads = 0;      ///< of one call; 0: as tuned, else the physical cores allowed here
  bool spin = true;     ///< idle threads of ONNX Runtime may wait actively; false: they sleep
  std::string model;    ///< which of the bundle's model files; empty: the first
  std::string runtime;  ///< "onnxruntime" or "openvino"; empty: the bundle's first that works here
  bool xnnpack = false;  ///< ONNX Runtime's XNNPACK provider, where the library has it
};

enum class Element { float32, uint8, int64 };

/// Four dimensions, the batch first; -1 in a model's shape: any size.
using Shape = std::array<std::int64_t, 4>;

/// The input of one run, in the caller's memory.
struct Input {
  const void *data;
  std::size_t bytes;
  Element element;
  Shape shape;
};

/// One output of a run, filled in the caller's memory: `count` values of all pictures together.
struct Output {
  const char *name;
  const std::int64_t *shape;  ///< for one picture; nullptr: only the count is known
  std::size_t rank;
  Element element;  ///< float32 or int64
  void *data;
  std::size_t count;
};

/// What one call at a time works with. Runs with the memory and shape of the last one are cheapest:
/// nothing outside the runtime allocates.
class Request {
 public:
  virtual ~Request() = default;

  /// Fills `outputs`. Throws Error: the runtime fails.
  virtual void run(const Input &input, const Output *outputs, std::size_t output_count) = 0;
};

/// An opened model. It outlives its requests; any thread may make and run one of its own.
class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual std::unique_ptr<Request> request() = 0;
  virtual const char *name() const = 0;     ///< such as "ONNX Runtime"
  virtual const char *version() const = 0;  ///< such as "1.22.0"

  /// What was asked for and is not available, in one line; empty: nothing.
  virtual std::string notice() const = 0;
};

/// Returns the word for a runtime that Options and the command line take.
constexpr const char *word(RuntimeKind kind) {
  return kind == RuntimeKind::onnxruntime ? "onnxruntime" : "openvino";
}

constexpr const char *title(RuntimeKind kind) {
  return kind == RuntimeKind::onnxruntime ? "ONNX Runtime" : "OpenVINO";
}

namespace detail {

/// "1.22.0" becomes 1022, to be compared.
inline long release_number(const char *version) {
  char *end = nullptr;
  const long major = std::strtol(version, &end, 10);
  const long minor = *end == '.' ? std::strtol(end + 1, nullptr, 10) : 0;
  return major * 1000 + minor;
}

/// Throws Error: `found` is older than what the bundle needs.
inline void check_release(const RuntimeChoice &choice, const char *found) {
  if (release_number(found) >= release_number(choice.min_version)) return;
  throw Error(Code::no_runtime, std::string(title(choice.kind)) + " " + found +
                                    " is too old: this model needs " + choice.min_version +
                                    " or newer");
}

/// More threads than this would fill a machine's memory with stacks, and help no call.
inline int max_threads() {
  const unsigned cpus = std::min(std::thread::hardware_concurrency(), 4096u);
  return std::max(64, 4 * static_cast<int>(cpus));
}

inline void check_threads(int threads) {
  if (threads >= 0 && threads <= max_threads()) return;
  throw Error(Code::bad_argument,
              "threads cannot be " + std::to_string(threads) + ": use 1 to " +
                  std::to_string(max_threads()) + ", or 0 for what fits this machine");
}

/// The threads of a call: as asked for, as tuned where this machine has as many CPUs, or those of
/// threads.hpp. 0: the runtime counts itself.
inline int threads_of(const RuntimeChoice &choice, const Options &options) {
  if (options.threads != 0) return options.threads;
  if (choice.threads == 0) return default_threads();
  const int allowed = allowed_cpus();
  return allowed == 0 ? choice.threads : std::min(choice.threads, allowed);
}

}  // namespace detail
}  // namespace resnet
