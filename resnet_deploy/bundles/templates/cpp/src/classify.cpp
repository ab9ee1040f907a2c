// SPDX-License-Identifier: Apache-2.0
// Names what pictures show, or describes the arrays of a network without classes: classify --help.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "resnet/decode.hpp"
#include "resnet/printable.hpp"
#include "resnet/program.hpp"
#include "resnet_classifier.h"

namespace {

constexpr char usage[] = "usage: classify [--bundle FOLDER] [--top K] PICTURE...\n";

constexpr char help[] =
    "Names what pictures show; where the network gives features or an embedding, prints name,\n"
    "shape and Euclidean norm of its arrays.\n"
    "\n"
    "  --bundle FOLDER  where the model is (default: where this program is or was built)\n"
    "  --top K          how many classes are named, best first (default: 5)\n"
    "  --help           print this and exit\n"
    "\n"
    "Reads"
#ifdef RESNET_HAS_JPEG
    " JPEG,"
#endif
#ifdef RESNET_HAS_PNG
    " PNG,"
#endif
#ifdef RESNET_HAS_WEBP
    " WebP,"
#endif
    " GIF, BMP, PPM, PGM and PBM files.\n";

/// What was asked for on the command line.
struct Asked {
  std::string folder;
  int32_t top = 5;
  bool help = false;
  std::vector<std::string> pictures;
};

/// A whole number from 1 on. Throws Error with what is wrong.
int32_t count_of(const std::string &text) {
  int32_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || number > 99999999) number = -1;
    if (number < 0) break;
    number = number * 10 + (c - '0');
  }
  if (number < 1) {
    throw resnet::Error(resnet::Code::bad_argument,
                        "--top takes a whole number from 1 on, not '" + text + "'");
  }
  return number;
}

/// Throws Error with what is wrong.
Asked asked_of(int argc, char **argv) {
  Asked asked;
  asked.folder = resnet::utf8(resnet::bundle_folder(argv[0]));
  bool options = true;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!options || word.size() < 2 || word[0] != '-') {
      asked.pictures.push_back(word);
    } else if (word == "--") {
      options = false;
    } else if (word == "--help" || word == "-h") {
      asked.help = true;
    } else if (word != "--bundle" && word != "--top") {
      throw resnet::Error(resnet::Code::bad_argument, "there is no option " + word);
    } else if (i + 1 == argc) {
      throw resnet::Error(resnet::Code::bad_argument, word + " needs a value");
    } else if (word == "--bundle") {
      asked.folder = argv[++i];
    } else {
      asked.top = count_of(argv[++i]);
    }
  }
  if (asked.pictures.empty() && !asked.help) {
    throw resnet::Error(resnet::Code::bad_argument, "name at least one picture");
  }
  return asked;
}

void check(int32_t code) {
  if (code != RESNET_OK) throw resnet::Error(static_cast<resnet::Code>(code), resnet_last_error());
}

/// Prints name, shape and norm of each output.
void describe(resnet_classifier *classifier, const std::string &name) {
  const resnet::OwnedPicture picture = resnet::read_picture(name);
  std::vector<std::string> shapes;
  std::vector<std::vector<float>> values;
  for (int32_t i = 0; i < resnet_output_count(classifier); ++i) {
    std::array<std::int64_t, 16> shape{};
    std::size_t rank = 0, size = 1;
    check(resnet_output_shape(classifier, i, shape.data(), shape.size(), &rank));
    std::string text = rank == 0 ? "1" : "";
    for (std::size_t at = 0; at < rank; ++at) {
      text += (at == 0 ? "" : " x ") + std::to_string(shape[at]);
      size *= static_cast<std::size_t>(shape[at]);
    }
    shapes.push_back(text);
    values.emplace_back(size);
  }
  std::vector<float *> places;
  std::vector<std::size_t> capacities;
  for (std::vector<float> &output : values) {
    places.push_back(output.data());
    capacities.push_back(output.size());
  }
  check(resnet_outputs(classifier, picture.rgb.data(), picture.rgb.size(), picture.width,
                       picture.height, 0, places.data(), capacities.data(),
                       static_cast<int32_t>(values.size())));
  std::printf("%s\n", resnet::printable(name).c_str());
  for (std::size_t i = 0; i < values.size(); ++i) {
    double sum = 0;
    for (const float value : values[i]) sum += static_cast<double>(value) * value;
    std::printf("  %s: %s, norm %.6g\n",
                resnet::printable(resnet_output_name(classifier, static_cast<int32_t>(i))).c_str(),
                shapes[i].c_str(), std::sqrt(sum));
  }
}

void classify(resnet_classifier *classifier, const std::string &name, int k) {
  const resnet::OwnedPicture picture = resnet::read_picture(name);
  std::vector<resnet_prediction> top(static_cast<std::size_t>(k));
  int32_t found = 0;
  check(resnet_classify(classifier, picture.rgb.data(), picture.rgb.size(), picture.width,
                        picture.height, 0, k, top.data(), &found));
  std::printf("%s\n", resnet::printable(name).c_str());
  for (const resnet_prediction &prediction : top) {
    if (found-- <= 0) break;
    std::printf("  %6.2f %%  %s\n", 100 * prediction.probability,
                resnet::printable(prediction.label).c_str());
  }
}

}  // namespace

int main(int argc, char **argv) {
  Asked asked;
  try {
    asked = asked_of(argc, argv);
  } catch (const resnet::Error &error) {
    std::fprintf(stderr, "%serror: %s\n", usage, resnet::printable(error.what()).c_str());
    return 2;
  }
  if (asked.help) {
    std::printf("%s\n%s", usage, help);
    return 0;
  }
  resnet_classifier *classifier = nullptr;
  int code = 0;
  try {
    check(resnet_open(asked.folder.c_str(), nullptr, &classifier));
    if (*resnet_notice(classifier) != '\0') {
      std::fprintf(stderr, "%s runs the network: %s\n", resnet_runtime(classifier),
                   resnet_notice(classifier));
    }
    const int32_t k = std::min(asked.top, resnet_class_count(classifier));
    for (const std::string &name : asked.pictures) {
      // One that can't be read does not keep the others from being named.
      try {
        k > 0 ? classify(classifier, name, k) : describe(classifier, name);
      } catch (const resnet::Error &error) {
        std::fprintf(stderr, "error: %s\n", resnet::printable(error.what()).c_str());
        code = 1;
      }
    }
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", resnet::printable(error.what()).c_str());
    code = 1;
  }
  resnet_close(classifier);
  return code;
}
