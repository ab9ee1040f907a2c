// The decoders of the cpp bundle, to be called from Python.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include "resnet/decode.hpp"

namespace {
resnet::OwnedPicture picture;
std::string message;
}  // namespace

/// Decodes a file and writes its width and height to `size`; false: see picture_error().
extern "C" bool decode_picture(const char *data, std::size_t count, int *size) {
  try {
    picture = resnet::decode_picture(std::string_view(data, count), "the picture");
    size[0] = picture.width;
    size[1] = picture.height;
    return true;
  } catch (const std::exception &error) {
    message = error.what();
    return false;
  }
}

extern "C" const char *picture_error() { return message.c_str(); }

/// Copies the RGB pixels of the last picture.
extern "C" void picture_pixels(std::uint8_t *to) {
  std::copy(picture.rgb.begin(), picture.rgb.end(), to);
}
