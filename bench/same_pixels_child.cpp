// Decodes and scores the picture files that standard input names, one a line, for same_pixels.py.
//
//   same_pixels_child BUNDLE SCORES: SCORES gets the scores of all, float32, one after the other.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>

#include "resnet/decode.hpp"
#include "resnet_classifier.hpp"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  try {
    resnet::Options options;
    options.threads = 1;
    resnet::Classifier classifier(argv[1], options);
    std::ofstream out(argv[2], std::ios::binary);
    for (std::string name; std::getline(std::cin, name);) {
      const resnet::OwnedPicture picture = resnet::read_picture(name);
      classifier.outputs(picture.view(), [&out](const resnet::Array &scores) {
        out.write(reinterpret_cast<const char *>(scores.values),
                  static_cast<std::streamsize>(scores.size * sizeof(float)));
      });
    }
    return out.flush() ? 0 : 1;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
