// SPDX-License-Identifier: Apache-2.0
// Runs every golden case, of every model file on every runtime of the bundle that this host has: is
// the input the recorded one, to the last bit, and are the answers as close to the recorded ones as
// the bundle promises? Prints PASS, or FAIL and the first case that differs.
//
//   selftest [FOLDER OF THE BUNDLE]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "resnet/contract.hpp"
#include "resnet/files.hpp"
#include "resnet/golden.hpp"
#include "resnet/netpbm.hpp"
#include "resnet/printable.hpp"
#include "resnet/program.hpp"
#include "resnet/runtime.hpp"
#include "resnet_classifier.h"

namespace {

class Failure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A runtime of the bundle is missing on this host, or too old.
class Absent : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// A classifier that is closed whatever happens.
class Opened {
 public:
  Opened(const std::filesystem::path &folder, const char *model, const char *runtime) {
    resnet_options options{};
    options.model = model;
    options.runtime = runtime;
    const int32_t code = resnet_open(resnet::utf8(folder).c_str(), &options, &classifier_);
    if (code == RESNET_NO_RUNTIME) throw Absent(resnet_last_error());
    check(code);
  }
  ~Opened() { resnet_close(classifier_); }
  Opened(const Opened &) = delete;
  Opened &operator=(const Opened &) = delete;

  std::string input(const resnet::OwnedPicture &picture, std::size_t bytes) const {
    std::string made(bytes, '\0');
    std::size_t needed = 0;
    const int32_t code =
        resnet_prepare(classifier_, picture.rgb.data(), picture.rgb.size(), picture.width,
                       picture.height, 0, made.data(), made.size(), &needed);
    if (needed > bytes)
      throw Failure("the input has " + std::to_string(needed) + " bytes, not " +
                    std::to_string(bytes));
    check(code);
    made.resize(needed);
    return made;
  }

  std::vector<std::vector<float>> outputs(const resnet::OwnedPicture &picture) const {
    std::vector<std::vector<float>> made;
    std::vector<float *> places;
    std::vector<std::size_t> sizes;
    for (std::size_t i = 0; i < resnet::bundle_contract.output_count; ++i) {
      made.emplace_back(resnet::bundle_contract.outputs[i].size);
    }
    for (std::vector<float> &values : made) {
      places.push_back(values.data());
      sizes.push_back(values.size());
    }
    check(resnet_outputs(classifier_, picture.rgb.data(), picture.rgb.size(), picture.width,
                         picture.height, 0, places.data(), sizes.data(),
                         static_cast<int32_t>(made.size())));
    return made;
  }

  int top1(const resnet::OwnedPicture &picture) const {
    resnet_prediction best;
    int32_t found = 0;
    check(resnet_classify(classifier_, picture.rgb.data(), picture.rgb.size(), picture.width,
                          picture.height, 0, 1, &best, &found));
    return best.index;
  }

  std::string runtime() const { return resnet_runtime(classifier_); }

  std::string label(int index) const {
    const char *text = resnet_label(classifier_, index);
    return text == nullptr ? "no class" : text;
  }

 private:
  static void check(int32_t code) {
    if (code != RESNET_OK) throw Failure(resnet_last_error());
  }

  resnet_classifier *classifier_ = nullptr;
};

std::vector<float> floats(const std::string &bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// Throws Failure: the input is not the recorded one. Says which element differs, and how.
void compare_inputs(const std::string &found, const std::string &recorded) {
  if (found.size() != recorded.size()) {
    throw Failure("the input has " + std::to_string(found.size()) + " bytes, not " +
                  std::to_string(recorded.size()));
  }
  const auto differs = std::mismatch(found.begin(), found.end(), recorded.begin());
  if (differs.first == found.end()) return;
  auto element = static_cast<std::size_t>(differs.first - found.begin());
  double is = static_cast<unsigned char>(*differs.first);
  double should = static_cast<unsigned char>(*differs.second);
  if (resnet::is_float(resnet::bundle_contract.preprocess.format)) {
    element /= sizeof(float);
    is = floats(found)[element];
    should = floats(recorded)[element];
  }
  throw Failure("input element " + std::to_string(element) + " is " + number(is) + ", recorded " +
                number(should));
}

/// How many values of an output are recorded.
std::size_t recorded_size(const resnet::OutputInfo &info) {
  return (info.size + info.every - 1) / info.every;
}

/// Compares one output with what is recorded of it. Returns max |difference| / max |recorded|.
/// Throws Failure: it is above the tolerance.
double compare_values(const std::vector<float> &found, const float *recorded,
                      const resnet::OutputInfo &info, const resnet::Model &model,
                      double tolerance) {
  double scale = 0, worst = 0;
  std::size_t where = 0;
  for (std::size_t i = 0; i < found.size(); i += info.every) {
    const double wanted = recorded[i / info.every];
    scale = std::max(scale, std::fabs(wanted));
    double difference = std::fabs(static_cast<double>(found[i]) - wanted);
    if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
    if (difference > worst) {
      worst = difference;
      where = i;
    }
  }
  const double relative = worst == 0.0 ? 0.0 : worst / scale;
  if (relative <= tolerance) return relative;
  const bool is_score = resnet::bundle_contract.classes > 0;
  std::string message = (is_score ? std::string() : info.name + std::string(" ")) +
                        (is_score ? "score " : "value ") + std::to_string(where) + " is " +
                        number(found[where]) + ", recorded " +
                        number(recorded[where / info.every]) + ": " + number(relative) +
                        " of the largest " + (is_score ? "score" : "value") + ", allowed " +
                        number(tolerance);
  if (std::strcmp(model.precision, "int8") == 0) {
    message +=
        ". The inputs match: this CPU's int8 arithmetic may differ from the recording one's "
        "(x86 without VNNI saturates; ONNX Runtime with a file exported without --allow-overflow "
        "does not)";
  }
  throw Failure(message);
}

/// The same for all outputs, whose recorded values lie one behind the other.
double compare_outputs(const std::vector<std::vector<float>> &found,
                       const std::vector<float> &recorded, const resnet::Model &model,
                       double tolerance) {
  std::size_t size = 0;
  for (const resnet::OutputInfo &info : resnet::outputs) size += recorded_size(info);
  if (recorded.size() != size) {
    throw Failure("there are " + std::to_string(size) + " values, recorded " +
                  std::to_string(recorded.size()));
  }
  double worst = 0;
  const float *next = recorded.data();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const resnet::OutputInfo &info = resnet::outputs[i];
    worst = std::max(worst, compare_values(found[i], next, info, model, tolerance));
    next += recorded_size(info);
  }
  return worst;
}

std::string classes_equal(std::size_t decided) {
  if (resnet::bundle_contract.classes == 0) return "";
  const std::size_t open = resnet::golden::case_count - decided;
  if (open == 0) return ", classes equal in all of them";
  return ", classes equal in all " + std::to_string(decided) + " cases that decide one (" +
         std::to_string(open) + (open == 1 ? " is" : " are") + " too close to call)";
}

void run_model(const std::filesystem::path &folder, std::size_t index, std::size_t runtime) {
  const resnet::Model &model = resnet::models[index];
  const double tolerance = model.tolerances[runtime];
  const Opened classifier(folder, model.file, resnet::word(resnet::runtimes[runtime].kind));
  double worst = 0;
  std::size_t decided = 0;
  for (std::size_t i = 0; i < resnet::golden::case_count; ++i) {
    const resnet::golden::Case &recorded_case = resnet::golden::cases[i];
    const resnet::golden::Answer &answer = resnet::golden::answers[index][runtime][i];
    try {
      const resnet::OwnedPicture picture =
          resnet::read_netpbm(resnet::read_file(folder / recorded_case.picture), recorded_case.picture);
      const std::string input = resnet::read_file(folder / recorded_case.input);
      compare_inputs(classifier.input(picture, input.size()), input);
      const std::vector<float> recorded = floats(resnet::read_file(folder / answer.scores));
      worst = std::max(worst,
                       compare_outputs(classifier.outputs(picture), recorded, model, tolerance));
      if (resnet::bundle_contract.classes == 0) continue;
      const int top1 = classifier.top1(picture);
      if (answer.top1_is_decided && top1 != answer.top1) {
        throw Failure("the class is " + classifier.label(top1) + ", recorded " +
                      classifier.label(answer.top1));
      }
      decided += answer.top1_is_decided ? 1 : 0;
    } catch (const std::exception &error) {
      throw Failure(classifier.runtime() + ", case " + recorded_case.name + ": " + error.what());
    }
  }
  std::printf(
      "PASS %s: %zu cases, inputs equal, %s within %.2g of the largest (allowed %.2g)%s; %s\n",
      model.file, resnet::golden::case_count,
      resnet::bundle_contract.classes > 0 ? "scores" : "values", worst, tolerance,
      classes_equal(decided).c_str(), classifier.runtime().c_str());
}

/// Runs a model on every runtime that it is for. Throws Failure: it passes on none. One that is
/// absent beside another that passes is said, and no failure.
void run_everywhere(const std::filesystem::path &folder, std::size_t index) {
  std::string absent;
  bool passed = false;
  for (std::size_t i = 0; i < std::size(resnet::runtimes); ++i) {
    if (resnet::models[index].tolerances[i] < 0) continue;
    try {
      run_model(folder, index, i);
      passed = true;
    } catch (const Absent &error) {
      absent += (absent.empty() ? "" : "; ") + std::string(error.what());
    }
  }
  if (!passed) throw Failure(absent);
  if (!absent.empty()) {
    std::printf("not tested with %s: %s\n", resnet::models[index].file,
                resnet::printable(absent).c_str());
  }
}

std::string usage(const std::filesystem::path &folder) {
  return "usage: selftest [FOLDER OF THE BUNDLE]\n"
         "Compares this machine's answers with the recorded ones: exit code 0 and PASS, or 1 and\n"
         "FAIL with the first difference. Without a folder: " +
         resnet::utf8(folder) + "\n";
}

}  // namespace

int main(int argc, char **argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  const std::filesystem::path own = resnet::bundle_folder(argv[0]);
  if (first == "--help" || first == "-h") {
    std::printf("%s", usage(own).c_str());
    return 0;
  }
  if (argc > 2 || first.rfind("-", 0) == 0) {
    std::fprintf(stderr, "%s", usage(own).c_str());
    return 2;
  }
  try {
    for (std::size_t i = 0; i < std::size(resnet::models); ++i) {
      run_everywhere(argc > 1 ? std::filesystem::path(argv[1]) : own, i);
    }
  } catch (const std::exception &error) {
    std::printf("FAIL %s\n", resnet::printable(error.what()).c_str());
    return 1;
  }
  return 0;
}
