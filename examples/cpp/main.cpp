// A program of your own around a bundle: names what is on one picture.
#include <array>
#include <cstdio>

#include "resnet/decode.hpp"
#include "resnet_classifier.hpp"

int main(int count, char **words) try {
  if (count != 3) {
    std::fprintf(stderr, "usage: %s BUNDLE PICTURE\n", words[0]);
    return 2;
  }
  resnet::Classifier classifier(words[1]);
  const resnet::OwnedPicture picture = resnet::read_picture(words[2]);
  std::array<resnet::Prediction, 3> best;
  const std::size_t found = classifier.classify(picture.view(), best.data(), best.size());
  for (std::size_t i = 0; i < found; ++i) {
    std::printf("%.1f %%  %s\n", 100 * best[i].probability, best[i].label);
  }
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
