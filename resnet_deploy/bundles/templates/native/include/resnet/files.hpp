// SPDX-License-Identifier: Apache-2.0
// The files of a bundle: the model, checked against its SHA-256, and the labels.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "resnet/sha256.hpp"
#include "resnet/types.hpp"

namespace resnet {

/// Returns a path for a message.
inline std::string utf8(const std::filesystem::path &path) {
  const auto text = path.u8string();  // of another type in C++20
  return std::string(text.begin(), text.end());
}

/// Returns all bytes of a file. Throws Error: it is missing or can't be read.
inline std::string read_file(const std::filesystem::path &path) {
  const std::string name = utf8(path);
  std::error_code ignored;
  const std::filesystem::file_type type = std::filesystem::status(path, ignored).type();
  if (type == std::filesystem::file_type::directory) {
    throw Error(Code::bad_bundle, name + " is a folder: name a file");
  }
  if (type == std::filesystem::file_type::not_found) {
    throw Error(Code::bad_bundle, name + " does not exist: check the path");
  }
  if (type != std::filesystem::file_type::regular) {
    throw Error(Code::bad_bundle, name + " is not a file that can be read");
  }
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = stream.tellg();
  std::string data(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
  stream.seekg(0);
  stream.read(data.data(), static_cast<std::streamsize>(data.size()));
  if (!stream) throw Error(Code::bad_bundle, "cannot read " + name);
  return data;
}

namespace detail {

inline const Model &model_named(const Contract &contract, const std::string &name) {
  for (std::size_t i = 0; i < contract.model_count; ++i) {
    if (name.empty() || name == contract.models[i].file) return contract.models[i];
  }
  throw Error(Code::bad_argument,
              "this bundle has no model " + name + ": the first is " + contract.models[0].file);
}

/// Returns which of the bundle's models `data` is; `where` is for the message. Throws Error: none.
inline const Model &model_of(const Contract &contract, std::string_view data,
                             const std::string &where) {
  const std::string found = sha256(data.data(), data.size());
  for (std::size_t i = 0; i < contract.model_count; ++i) {
    if (found == contract.models[i].sha256) return contract.models[i];
  }
  throw Error(Code::bad_bundle, where +
                                    " is damaged or of another bundle: its SHA-256 is not that in "
                                    "manifest.json; copy the bundle again");
}

/// Returns the lines of labels.txt. Throws Error unless there is one for each class.
inline std::vector<std::string> labels_of(const Contract &contract, std::string_view text,
                                          const std::string &where) {
  std::vector<std::string> labels;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    labels.emplace_back(line);
  }
  if (labels.size() != static_cast<std::size_t>(contract.classes)) {
    throw Error(Code::bad_bundle,
                where + " has " + std::to_string(labels.size()) + " lines, but the network has " +
                    std::to_string(contract.classes) + " classes: one label a line is needed");
  }
  return labels;
}

}  // namespace detail
}  // namespace resnet
