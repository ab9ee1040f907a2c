// SPDX-License-Identifier: Apache-2.0
// Names what pictures show:
//
//   classify [--bundle FOLDER] [--top K] PICTURE...
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "resnet/files.hpp"
#include "resnet/netpbm.hpp"
#include "resnet/program.hpp"
#include "resnet_classifier.h"

#ifdef RESNET_HAS_STB
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#endif

namespace {

#ifdef RESNET_HAS_STB
/// A PNG or JPEG picture. Transparency is dropped, and the camera's orientation is not read.
resnet::OwnedPicture decode(const std::string &data, const std::string &name) {
  resnet::OwnedPicture picture;
  const auto *bytes = reinterpret_cast<const stbi_uc *>(data.data());
  stbi_uc *rgb = stbi_load_from_memory(bytes, static_cast<int>(data.size()), &picture.width,
                                       &picture.height, nullptr, 3);
  if (rgb == nullptr) {
    throw resnet::Error(resnet::Code::bad_image, name + " is no picture: " + stbi_failure_reason());
  }
  const auto pixels =
      static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height);
  picture.rgb.assign(rgb, rgb + 3 * pixels);
  stbi_image_free(rgb);
  return picture;
}
#else
resnet::OwnedPicture decode(const std::string &, const std::string &name) {
  throw resnet::Error(resnet::Code::bad_image,
                      name +
                          " is no binary PPM or PGM file; for PNG and JPEG, install stb_image "
                          "(Debian: libstb-dev) and build again in a new folder");
}
#endif

resnet::OwnedPicture read_picture(const std::string &name) {
  const std::string data = resnet::read_file(name);
  const bool netpbm = data.compare(0, 2, "P6") == 0 || data.compare(0, 2, "P5") == 0;
  return netpbm ? resnet::read_netpbm(data, name) : decode(data, name);
}

void check(int32_t code) {
  if (code != RESNET_OK) throw resnet::Error(static_cast<resnet::Code>(code), resnet_last_error());
}

/// A label without what would steer a terminal.
std::string printable(std::string label) {
  std::replace_if(
      label.begin(), label.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return label;
}

void classify(resnet_classifier *classifier, const std::string &name, int k) {
  const resnet::OwnedPicture picture = read_picture(name);
  std::vector<resnet_prediction> top(static_cast<std::size_t>(k));
  int32_t found = 0;
  check(resnet_classify(classifier, picture.rgb.data(), picture.rgb.size(), picture.width,
                        picture.height, 0, k, top.data(), &found));
  std::printf("%s\n", name.c_str());
  for (const resnet_prediction &prediction : top) {
    if (found-- <= 0) break;
    std::printf("  %6.2f %%  %s\n", 100 * prediction.probability, printable(prediction.label).c_str());
  }
}

int usage() {
  std::fprintf(stderr, "usage: classify [--bundle FOLDER] [--top K] PICTURE...\n");
  return 2;
}

}  // namespace

int main(int argc, char **argv) {
  std::string folder = resnet::utf8(resnet::bundle_folder(argv[0]));
  int k = 5, first = 1;
  for (; first + 1 < argc && std::strncmp(argv[first], "--", 2) == 0; first += 2) {
    if (std::strcmp(argv[first], "--bundle") == 0) {
      folder = argv[first + 1];
    } else if (std::strcmp(argv[first], "--top") == 0) {
      k = std::atoi(argv[first + 1]);
    } else {
      return usage();
    }
  }
  if (first >= argc || k < 1 || std::strncmp(argv[first], "--", 2) == 0) return usage();
  resnet_classifier *classifier = nullptr;
  int code = 0;
  try {
    check(resnet_open(folder.c_str(), nullptr, &classifier));
    if (*resnet_notice(classifier) != '\0') {
      std::fprintf(stderr, "%s runs the network: %s\n", resnet_runtime(classifier),
                   resnet_notice(classifier));
    }
    k = std::min(k, resnet_class_count(classifier));
    for (int i = first; i < argc; ++i) classify(classifier, argv[i], k);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    code = 1;
  }
  resnet_close(classifier);
  return code;
}
