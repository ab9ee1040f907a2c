// A subject of bench/cpp_latency.py: the classifier of one bundle, told what to do as
// resnet_deploy/measure/child.py is. What is timed is the network on a prepared input.
//
//   cpp_child BUNDLE
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "resnet_classifier.hpp"

namespace {

using Clock = std::chrono::steady_clock;

std::int64_t nanoseconds(Clock::duration taken) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(taken).count();
}

/// What follows `"key": ` in one line of flat JSON, to the next quote or comma.
std::string value_of(const std::string &request, const std::string &key) {
  const std::size_t at = request.find("\"" + key + "\": ");
  if (at == std::string::npos) throw std::runtime_error("a request without " + key);
  std::string rest = request.substr(at + key.size() + 4);
  if (rest[0] == '"') return rest.substr(1, rest.find('"', 1) - 1);
  return rest.substr(0, rest.find_first_of(",}"));
}

/// The numbers of a .npy file, without their header.
std::string read_npy(const std::string &file) {
  const std::string data = resnet::read_file(file);
  const auto *bytes = reinterpret_cast<const unsigned char *>(data.data());
  return data.substr(10 + bytes[8] + std::size_t{256} * bytes[9]);
}

std::string peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, 6, "VmHWM:") == 0) return std::to_string(std::stoll(line.substr(6)) * 1024);
  }
  return "0";
}

/// A value of JSON, and the bytes behind it.
struct Answer {
  std::string value, data;
};

class Subject {
 public:
  explicit Subject(std::string bundle) : bundle_(std::move(bundle)) {}

  Answer answer(const std::string &request) {
    const std::string what = value_of(request, "do");
    if (what == "load") return {load(request), {}};
    if (what == "first_run") return {std::to_string(time_one()), {}};
    if (what == "warm_up") return {warm_up(std::stod(value_of(request, "seconds"))), {}};
    if (what == "run") return {run(std::stoi(value_of(request, "count"))), {}};
    if (what == "logits") return logits();
    if (what == "peak_rss") return {peak_rss_bytes(), {}};
    throw std::runtime_error("an unknown request: " + what);
  }

 private:
  std::string load(const std::string &request) {
    samples_ = read_npy(value_of(request, "samples"));
    const auto &spec = resnet::bundle_contract.preprocess;
    const auto values = static_cast<std::size_t>(spec.channels()) *
                        static_cast<std::size_t>(spec.height) *
                        static_cast<std::size_t>(spec.width);
    if (resnet::is_float(spec.format)) {
      memory_.tensor.floats.resize(values);
    } else {
      memory_.tensor.bytes.resize(values);
    }
    resnet::Options options;
    options.threads = std::stoi(value_of(request, "threads"));
    const auto start = Clock::now();
    const std::string model = resnet::read_file(bundle_ + "/" + resnet::models[0].file);
    network_.emplace(resnet::bundle_contract, resnet::models[0], model, options);
    const auto taken = nanoseconds(Clock::now() - start);
    use_sample(0);
    return std::to_string(taken);
  }

  void use_sample(std::size_t number) {
    const std::size_t bytes = memory_.tensor.byte_count();
    std::memcpy(const_cast<void *>(memory_.tensor.data()), samples_.data() + number * bytes, bytes);
  }

  std::int64_t time_one() {
    const auto start = Clock::now();
    network_->run(memory_, 0, 0);
    return nanoseconds(Clock::now() - start);
  }

  std::string warm_up(double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    int runs = 0;
    for (; runs < 3 || Clock::now() < end; ++runs) time_one();
    return std::to_string(runs);
  }

  std::string run(int count) {
    time_one();
    std::string taken;
    for (int i = 0; i < count; ++i) taken += (i == 0 ? "[" : ", ") + std::to_string(time_one());
    return taken + "]";
  }

  Answer logits() {
    const std::size_t rows = samples_.size() / memory_.tensor.byte_count();
    std::vector<float> found;
    for (std::size_t row = 0; row < rows; ++row) {
      use_sample(row);
      network_->run(memory_, 0, 0);
      found.insert(found.end(), memory_.values[0].begin(), memory_.values[0].end());
    }
    use_sample(0);
    const std::string shape = std::to_string(rows) + ", " + std::to_string(found.size() / rows);
    return {"{\"shape\": [" + shape + "], \"dtype\": \"<f4\"}",
            std::string(reinterpret_cast<const char *>(found.data()), found.size() * sizeof(float))};
  }

  std::string bundle_, samples_;
  std::optional<resnet::Network> network_;
  resnet::CallMemory memory_;  // goes first: it holds what belongs to the network
};

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  Subject subject(argv[1]);
  for (std::string request; std::getline(std::cin, request);) {
    try {
      const Answer answer = subject.answer(request);
      std::cout << "{\"ok\": " << answer.value << ", \"bytes\": " << answer.data.size() << "}\n"
                << answer.data << std::flush;
    } catch (const std::exception &error) {
      std::cerr << error.what() << std::endl;
      return 1;
    }
  }
  return 0;
}
