// Ten threads share one classifier; bad input comes between good. Then many calls in a row.
//
//   stress BUNDLE CALLS RUNTIME [race]
//
// With the last word the threads also count together without a lock, which ThreadSanitizer has to
// report.
//
// Prints who allocated during the calls after the first ones, a standard library on somebody's
// behalf, and the resident memory before and after, in kB.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>

#include "resnet_classifier.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<long> of_runtime{0}, of_libstdcxx{0}, of_ours{0};

}  // namespace

#ifndef WITHOUT_HOOK
static void count(void *caller) {
  if (!counting.load(std::memory_order_relaxed)) return;
  Dl_info info;
  const char *file = dladdr(caller, &info) != 0 ? info.dli_fname : "";
  const auto is_from = [file](const char *name) { return std::strstr(file, name) != nullptr; };
  const bool theirs = is_from("/libonnxruntime") || is_from("/libopenvino");
  std::atomic<long> &others = theirs ? of_runtime : of_libstdcxx;
  std::atomic<long> &whose = theirs || is_from("/libstdc++") ? others : of_ours;
  whose.fetch_add(1, std::memory_order_relaxed);
}

void *operator new(std::size_t size) {
  count(__builtin_return_address(0));
  if (void *made = std::malloc(size)) return made;
  throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace {

struct Picture {
  int width, height;
  std::vector<std::uint8_t> rgb;
};

Picture made_up(int width, int height) {
  Picture picture{width, height, {}};
  for (int i = 0; i < width * height * 3; ++i) {
    picture.rgb.push_back(static_cast<std::uint8_t>(i * 31 + i / 97));
  }
  return picture;
}

std::vector<float> scores_of(resnet_classifier *classifier, const Picture &picture) {
  std::vector<float> scores(static_cast<std::size_t>(resnet_class_count(classifier)));
  float *const outputs[] = {scores.data()};
  const std::size_t capacities[] = {scores.size()};
  if (resnet_outputs(classifier, picture.rgb.data(), picture.rgb.size(), picture.width,
                     picture.height, 0, outputs, capacities, 1) != RESNET_OK) {
    std::printf("%s\n", resnet_last_error());
    std::abort();
  }
  return scores;
}

void expect(bool right, const char *what) {
  if (right) return;
  std::printf("wrong: %s (%s)\n", what, resnet_last_error());
  std::abort();
}

int classify(resnet_classifier *classifier, const Picture &picture, std::size_t size, int width,
             resnet_prediction *top) {
  int32_t found = 0;
  return resnet_classify(classifier, picture.rgb.data(), size, width, picture.height, 0, 3, top,
                         &found);
}

/// All pictures in one call, which runs them two at a time and more.
void classify_all(resnet_classifier *classifier, const std::vector<Picture> &pictures,
                  const std::vector<std::vector<float>> &alone) {
  resnet_picture given[8];
  resnet_prediction top[8];
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Picture &picture = pictures[i];
    given[i] = {picture.rgb.data(), picture.rgb.size(), picture.width, picture.height, 0};
  }
  int32_t found = 0;
  const int32_t code =
      resnet_classify_batch(classifier, given, pictures.size(), 1, top, &found);
  expect(code == RESNET_OK && found == 1, "a batch");
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const float score = alone[i][static_cast<std::size_t>(top[i].index)];
    expect(std::abs(score - top[i].score) <= 1e-3f, "scores in a batch");
  }
}

void bad_calls(resnet_classifier *classifier, const Picture &picture) {
  resnet_prediction top[3];
  expect(classify(classifier, picture, picture.rgb.size(), 0, top) == RESNET_BAD_IMAGE, "width 0");
  expect(
      classify(classifier, picture, picture.rgb.size() - 1, picture.width, top) == RESNET_BAD_IMAGE,
      "a byte too few");
  expect(classify(nullptr, picture, picture.rgb.size(), picture.width, top) == RESNET_BAD_ARGUMENT,
         "no classifier");
  expect(classify(classifier, picture, picture.rgb.size(), picture.width, nullptr) ==
             RESNET_BAD_ARGUMENT,
         "no room");
}

long resident_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, 6, "VmRSS:") == 0) return std::strtol(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  const bool racing = argc == 5 && std::strcmp(argv[4], "race") == 0;
  if (argc != 4 && !racing) return 2;
  const int calls = std::atoi(argv[2]);
  resnet_classifier *classifier = nullptr;
  resnet_options options{};
  options.threads = 1;
  options.runtime = argv[3];
  expect(resnet_open("/nowhere", nullptr, &classifier) == RESNET_BAD_BUNDLE, "no bundle");
  expect(resnet_open(argv[1], &options, &classifier) == RESNET_OK, "open");

  const std::vector<Picture> pictures{made_up(32, 32), made_up(57, 40), made_up(19, 300),
                                      made_up(7, 5)};
  std::vector<std::vector<float>> alone;
  for (const Picture &picture : pictures) alone.push_back(scores_of(classifier, picture));

  int unguarded = 0;
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < 10; ++number) {
    threads.emplace_back([&, number] {
      for (std::size_t i = 0; i < 20; ++i) {
        if (racing) ++unguarded;
        const std::size_t which = (number + i) % pictures.size();
        expect(scores_of(classifier, pictures[which]) == alone[which], "scores beside others");
        bad_calls(classifier, pictures[which]);
        if (i % 10 == number) classify_all(classifier, pictures, alone);
      }
    });
  }
  for (std::thread &thread : threads) thread.join();

  resnet_prediction top[3];
  const auto call = [&](int i) {
    const Picture &picture = pictures[static_cast<std::size_t>(i) % pictures.size()];
    expect(classify(classifier, picture, picture.rgb.size(), picture.width, top) == RESNET_OK,
           "classify");
    if (i % 4 == 0) classify_all(classifier, pictures, alone);
  };
  for (int i = 0; i < calls / 10; ++i) call(i);
  const long before = resident_kb();
  counting = true;
  for (int i = 0; i < calls; ++i) call(i);
  counting = false;
  std::printf(
      "{\"calls\": %d, \"ours\": %ld, \"runtime\": %ld, \"libstdcxx\": %ld, \"before_kb\": %ld, "
      "\"after_kb\": %ld}\n",
      calls, of_ours.load(), of_runtime.load(), of_libstdcxx.load(), before, resident_kb());
  resnet_close(classifier);
  return 0;
}
