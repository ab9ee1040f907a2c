// The C++ core of a bundle under a fuzzer: what reads a stranger's bytes, one surface a run.
//
//   RESNET_FUZZ=png:BUNDLE fuzz [options of the fuzzer] [folders of inputs]
//
// Errors of the bundle's own type are answers. All else ends the program: another exception, what
// a sanitizer reports, more memory or time than the fuzzer was told to allow.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "resnet/contract.hpp"
#include "resnet/decode.hpp"
#include "resnet/files.hpp"
#include "resnet/golden.hpp"
#include "resnet/netpbm.hpp"
#include "resnet/printable.hpp"
#include "resnet/program.hpp"
#include "resnet/runtime.hpp"
#include "resnet_classifier.h"
#include "resnet_classifier.hpp"

// The programs of a bundle, whose functions have no other door. All that they include is above: a
// header that is read first in here would declare its things in the wrong place.
#define main main_of_program
namespace selftest {
#include "selftest.cpp"
}
namespace server {
#include "server.cpp"
}
#undef main
// The C interface, in one go with the rest: the headers take most of the time.
#include "resnet_classifier.cpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t *data, std::size_t size, std::size_t most);

namespace {

namespace fs = std::filesystem;

fs::path bundle;  // as it was packed; the self-test reads a copy

void expect(bool right, const char *what) {
  if (right) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::abort();
}

/// Takes numbers off the front of an input; zeros where it is at its end.
class Taken {
 public:
  explicit Taken(std::string_view data) : data_(data) {}

  std::uint32_t number(std::size_t bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      value = value << 8 | (data_.empty() ? 0U : static_cast<std::uint8_t>(data_.front()));
      if (!data_.empty()) data_.remove_prefix(1);
    }
    return value;
  }
  std::int32_t signed_number() { return static_cast<std::int32_t>(number(4)); }
  int up_to(std::uint32_t most) { return static_cast<int>(number(2) % (most + 1)); }
  std::string_view part(std::size_t most) {
    const std::string_view taken = data_.substr(0, most);
    data_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() const { return data_; }

 private:
  std::string_view data_;
};

/// A copy with nothing behind it, so that a sanitizer sees what is read there.
std::vector<std::uint8_t> exact(std::string_view data) {
  return std::vector<std::uint8_t>(data.begin(), data.end());
}

void check(const resnet::OwnedPicture &picture) {
  const auto width = static_cast<std::int64_t>(picture.width);
  const auto height = static_cast<std::int64_t>(picture.height);
  expect(width > 0 && height > 0 && width * height <= resnet::max_pixels, "the size of a picture");
  expect(picture.rgb.size() == static_cast<std::size_t>(width * height * 3), "its pixels");
}

void pictures(std::string_view data) { check(resnet::decode_picture(data, "the picture")); }

void orientation(std::string_view data) {
  Taken taken(data);
  const std::int64_t width = 1 + taken.up_to(20), height = 1 + taken.up_to(20);
  resnet::detail::Turned turned;
  turned.xmp = taken.part(taken.number(1));
  turned.exif = taken.rest();
  check(resnet::detail::upright(resnet::detail::room_for(width, height), turned.orientation()));
}

/// Any preprocessing that a bundle could have, of any picture that a caller could hand in.
void prepare(std::string_view data) {
  Taken taken(data);
  resnet::Preprocess spec{};
  spec.height = 2 * (1 + taken.up_to(40));
  spec.width = 2 * (1 + taken.up_to(40));
  spec.rows = 1 + taken.up_to(90);
  spec.columns = 1 + taken.up_to(90);
  spec.mode = static_cast<resnet::ResizeMode>(taken.number(1) % 3);
  spec.interpolation = static_cast<resnet::Interpolation>(taken.number(1) % 5);
  spec.order = static_cast<resnet::ChannelOrder>(taken.number(1) % 3);
  spec.format = static_cast<resnet::Format>(taken.number(1) % 5);
  spec.resize_in_graph = taken.number(1) % 8 == 0;
  spec.divisor = 255;
  spec.deviation = {1, 1, 1};
  const bool fits = taken.number(1) % 4 != 0;
  resnet::Picture picture{};
  picture.width = taken.signed_number();
  picture.height = taken.signed_number();
  if (taken.number(1) % 4 == 0) picture.stride = taken.number(4);
  std::vector<std::uint8_t> pixels;
  if (fits) {
    picture.width = 1 + (picture.width & 0xff);
    picture.height = 1 + (picture.height & 0x1f);
    picture.stride %= 1024;
    const auto line = std::max(static_cast<std::size_t>(picture.width) * 3, picture.stride);
    pixels.resize(line * static_cast<std::size_t>(picture.height));
    const std::string_view levels = taken.rest();
    for (std::size_t i = 0; i < pixels.size() && !levels.empty(); ++i) {
      pixels[i] = static_cast<std::uint8_t>(levels[i % levels.size()]);
    }
  } else {
    pixels = exact(taken.rest());
  }
  picture.rgb = pixels.data();
  picture.size = pixels.size();
  resnet::PrepareMemory memory;
  resnet::Tensor tensor;
  resnet::Preprocessor(spec).prepare(picture, memory, tensor);
  expect(spec.resize_in_graph || tensor.byte_count() > 0, "an empty tensor");
}

/// A classifier of the bundle, opened once.
resnet_classifier *classifier() {
  static resnet_classifier *const opened = [] {
    resnet_classifier *made = nullptr;
    expect(resnet_open(bundle.c_str(), nullptr, &made) == RESNET_OK, resnet_last_error());
    return made;
  }();
  return opened;
}

/// The C interface, with numbers and sizes that a caller got wrong.
void api(std::string_view data) {
  Taken taken(data);
  const bool is_right = taken.number(1) % 2 == 0;
  std::int32_t width = taken.signed_number(), height = taken.signed_number();
  const std::int32_t k = taken.signed_number();
  const std::size_t stride = taken.number(1) % 4 == 0 ? taken.number(4) : 0;
  const std::vector<std::uint8_t> rgb = exact(taken.rest());
  if (is_right) {
    width = 1 + (width & 31);
    height = static_cast<std::int32_t>(rgb.size() / 3) / width;
  }
  std::vector<resnet_prediction> top(static_cast<std::size_t>(std::clamp(k, 0, 8)));
  resnet_prediction none[1];
  std::int32_t found = 0;
  const std::int32_t wanted = std::min(k, 8);
  resnet_prediction *room = top.empty() ? none : top.data();
  const auto is_known = [](std::int32_t code) {
    expect(code == RESNET_OK || code == RESNET_BAD_ARGUMENT || code == RESNET_BAD_IMAGE,
           resnet_last_error());
    expect((code == RESNET_OK) == (resnet_last_error()[0] == '\0'), "a message");
  };
  is_known(resnet_classify(classifier(), rgb.data(), rgb.size(), width, height, stride, wanted,
                           room, &found));
  expect(found >= 0 && found <= std::max(wanted, 0), "how many classes were named");
  const resnet_picture both[2] = {{rgb.data(), rgb.size(), width, height, stride},
                                  {rgb.data(), rgb.size() / 2, width, height, 0}};
  std::vector<resnet_prediction> tops(2 * top.size() + 1);
  is_known(resnet_classify_batch(classifier(), both, 2, wanted, tops.data(), &found));
  std::size_t needed = 0;
  std::vector<std::uint8_t> tensor(taken.number(2) % 2048);
  is_known(resnet_prepare(classifier(), rgb.data(), rgb.size(), width, height, stride,
                          tensor.data(), tensor.size(), &needed));
  std::array<std::int64_t, 4> shape;
  is_known(resnet_output_shape(classifier(), k, shape.data(), shape.size(), &needed));
  resnet_label(classifier(), k);
  resnet_output_name(classifier(), width);
}

/// The model file and the labels, each as they are or from the input.
void open(std::string_view data) {
  static const std::string model = resnet::read_file(bundle / resnet::models[0].file);
  Taken taken(data);
  const bool is_model = taken.number(1) % 8 == 0;
  const std::string_view changed = taken.rest();
  const std::string_view file = is_model ? changed : std::string_view(model);
  const std::string_view labels = is_model ? std::string_view("red\ngreen\nblue\n") : changed;
  resnet_options options{};
  options.threads = 1;
  resnet_classifier *made = nullptr;
  const std::int32_t code =
      resnet_open_memory(file.data(), file.size(), labels.data(), labels.size(), &options, &made);
  expect(code == RESNET_OK || code == RESNET_BAD_BUNDLE || code == RESNET_BAD_ARGUMENT,
         resnet_last_error());
  expect((code == RESNET_OK) == (made != nullptr), "a classifier");
  for (std::int32_t i = 0; i < resnet_class_count(made); ++i) {
    expect(resnet_label(made, i) != nullptr, "a label");
  }
  resnet_close(made);
}

/// A folder in memory, gone at the end.
class Scratch {
 public:
  Scratch() : folder_(fs::path("/dev/shm") / ("resnet-fuzz-" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy(bundle, folder_, fs::copy_options::recursive);
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  const fs::path &folder() const { return folder_; }

 private:
  fs::path folder_;
};

/// The files that the self-test reads of its first case.
void golden(std::string_view data) {
  static const Scratch scratch;
  const resnet::golden::Case &first = resnet::golden::cases[0];
  Taken taken(data);
  const auto put = [&](const char *name, std::string_view content) {
    std::ofstream(scratch.folder() / name, std::ios::binary) << content;
  };
  put(first.picture, taken.part(taken.number(2)));
  put(first.input, taken.part(taken.number(2)));
  put(resnet::golden::answers[0][0][0].scores, taken.rest());
  try {
    selftest::run_model(scratch.folder(), 0, 0);
  } catch (const selftest::Failure &) {
  }
}

/// A request to the example of a server.
void request(std::string_view data) {
  static resnet::Classifier shared(bundle);
  int ends[2];
  expect(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "a pair of sockets");
  expect(write(ends[0], data.data(), data.size()) == static_cast<ssize_t>(data.size()), "a write");
  shutdown(ends[0], SHUT_WR);
  server::serve(shared, ends[1]);
  std::array<char, 4096> said{};
  expect(read(ends[0], said.data(), said.size()) > 12, "no answer");
  expect(std::string_view(said.data(), 7) == "HTTP/1.", "an answer of HTTP");
  close(ends[0]);
}

/// What must be found, by the first byte.
void faults(std::string_view data) {
  const std::vector<std::uint8_t> bytes = exact(data);
  volatile std::uint8_t seen = 0;
  switch (bytes.empty() ? '\0' : static_cast<char>(bytes[0])) {
    case 'r':
      seen = bytes.data()[bytes.size()];
      break;
    case 'o': {
      volatile int most = std::numeric_limits<int>::max();
      most = most + 1;
      break;
    }
    case 'm':
      seen = std::vector<std::uint8_t>(std::size_t{3} << 30)[0];
      break;
    case 't':
      for (;;) seen = 1;
    case 'e':
      throw std::runtime_error("an error that is not the bundle's");
    case 'l':
      throw resnet::Error(resnet::Code::bad_image, "two\nlines");
    default:
      break;
  }
  static_cast<void>(seen);
}

using Read = void (*)(std::string_view);

const std::map<std::string, Read> &surfaces() {
  static const std::map<std::string, Read> all{
      {"netpbm", pictures}, {"bmp", pictures},  {"gif", pictures},
      {"png", pictures},    {"jpeg", pictures}, {"webp", pictures},
      {"files", pictures},  {"api", api},       {"orientation", orientation},
      {"prepare", prepare}, {"open", open},     {"golden", golden},
      {"server", request},  {"faults", faults}};
  return all;
}

std::string surface;
Read read_it = nullptr;

std::uint32_t number_at(const std::uint8_t *data) {
  return std::uint32_t{data[0]} << 24 | std::uint32_t{data[1]} << 16 | std::uint32_t{data[2]} << 8 |
         data[3];
}

void put_number(std::uint8_t *data, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) data[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

/// Gives the chunks of a PNG the checksums of what is in them.
void repair_png(std::uint8_t *data, std::size_t size) {
  for (std::size_t at = 8; size >= 12 && at <= size - 12;) {
    const std::size_t length = number_at(data + at);
    if (length > size - at - 12) break;
    put_number(data + at + 8 + length,
               static_cast<std::uint32_t>(crc32(0, data + at + 4, static_cast<uInt>(length + 4))));
    at += 12 + length;
  }
}

/// Changes the pixels of a PNG before they are packed; 0: it has none, or they don't fit.
std::size_t change_pixels(std::uint8_t *data, std::size_t size, std::size_t most) {
  for (std::size_t at = 8; size >= 12 && at <= size - 12;) {
    const std::size_t length = number_at(data + at);
    if (length > size - at - 12) break;
    if (std::memcmp(data + at + 4, "IDAT", 4) == 0) {
      std::vector<std::uint8_t> plain(1 << 16), packed(1 << 17);
      uLongf count = static_cast<uLongf>(plain.size() / 2);
      if (uncompress(plain.data(), &count, data + at + 8, static_cast<uLong>(length)) != Z_OK) {
        return 0;
      }
      const std::size_t changed = LLVMFuzzerMutate(plain.data(), count, plain.size());
      uLongf made = static_cast<uLongf>(packed.size());
      if (compress2(packed.data(), &made, plain.data(), static_cast<uLong>(changed), 1) != Z_OK) {
        return 0;
      }
      const std::size_t behind = size - at - 8 - length;
      if (at + 8 + made + behind > most) return 0;
      std::memmove(data + at + 8 + made, data + at + 8 + length, behind);
      std::memcpy(data + at + 8, packed.data(), made);
      put_number(data + at, static_cast<std::uint32_t>(made));
      return at + 8 + made + behind;
    }
    at += 12 + length;
  }
  return 0;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
  const char *said = std::getenv("RESNET_FUZZ");
  const std::string text = said == nullptr ? "" : said;
  const std::size_t colon = text.find(':');
  surface = text.substr(0, colon);
  const auto found = surfaces().find(surface);
  if (found == surfaces().end() || colon == std::string::npos) {
    std::fprintf(stderr, "RESNET_FUZZ is SURFACE:BUNDLE; surfaces:");
    for (const auto &one : surfaces()) std::fprintf(stderr, " %s", one.first.c_str());
    std::fprintf(stderr, "\n");
    std::exit(2);
  }
  bundle = text.substr(colon + 1);
  read_it = found->second;
  // What the self-test prints for each case that passes.
  if (surface == "golden" && std::freopen("/dev/null", "w", stdout) == nullptr) std::exit(2);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  try {
    read_it(std::string_view(reinterpret_cast<const char *>(data), size));
  } catch (const resnet::Error &error) {
    expect(error.what()[0] != '\0' && std::strchr(error.what(), '\n') == nullptr,
           error.what());
  }
  return 0;
}

/// Random changes alone would be stopped by checksums and lengths.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t *data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  if (surface == "png" && seed % 3 == 0) {
    const std::size_t changed = change_pixels(data, size, most);
    if (changed > 0) {
      repair_png(data, changed);
      return changed;
    }
  }
  size = LLVMFuzzerMutate(data, size, most);
  if (surface == "png" && seed % 8 != 1) repair_png(data, size);
  if (surface == "webp" && seed % 8 != 1 && size >= 12) {
    const auto length = static_cast<std::uint32_t>(size - 8);
    for (int i = 0; i < 4; ++i) data[4 + i] = static_cast<std::uint8_t>(length >> (8 * i));
  }
  return size;
}
