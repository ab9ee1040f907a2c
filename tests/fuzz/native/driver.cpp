// What libFuzzer does, in little and without looking at coverage: for compilers without it. It
// takes the same options, and writes an input that ended it to ARTIFACT_PREFIX + crash-…
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t *data, std::size_t size,
                                               std::size_t most, unsigned seed);

namespace {

using Bytes = std::vector<std::uint8_t>;

std::mt19937 chance(0);
std::vector<Bytes> seeds;
Bytes current;
std::string prefix;
unsigned long done = 0;

std::size_t below(std::size_t count) { return count == 0 ? 0 : chance() % count; }

/// Headers are short and decide most, so half of all places lie in the first 64 bytes.
std::size_t place(std::size_t size) {
  return below((chance() % 2 == 0 ? std::min<std::size_t>(size, 64) : size) + 1);
}

void change(Bytes &data) {
  static const std::uint64_t limits[] = {0,      1,       127,        128,        255,
                                         256,    32767,   65535,      0x7fffffff, 0x80000000,
                                         ~0U,    1 << 14, 0x10000,    13377,      178956970,
                                         ~0ULL};
  const std::size_t at = place(data.size());
  const auto begin = data.begin() + static_cast<std::ptrdiff_t>(at);
  const std::size_t length = std::min(1 + below(64), data.size() - at);
  const Bytes part(begin, begin + static_cast<std::ptrdiff_t>(length));
  switch (chance() % 7) {
    case 0:
    case 1:
      if (at < data.size()) data[at] = static_cast<std::uint8_t>(chance());
      break;
    case 2: {
      const std::uint64_t value = limits[below(std::size(limits))];
      const std::size_t bytes = std::size_t{1} << below(4);
      const bool big = chance() % 2 == 0;
      for (std::size_t i = 0; i < bytes && at + i < data.size(); ++i) {
        data[at + i] = static_cast<std::uint8_t>(value >> (8 * (big ? bytes - 1 - i : i)));
      }
      break;
    }
    case 3:
      data.resize(at);
      break;
    case 4:
      data.erase(begin, begin + static_cast<std::ptrdiff_t>(length));
      break;
    case 5:
      data.insert(begin, part.begin(), part.end());
      break;
    default: {
      const Bytes &other = seeds[below(seeds.size())];
      const std::size_t from = place(other.size());
      data.resize(at);
      data.insert(data.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
    }
  }
}

void keep_input() {
  const std::string name = prefix + "crash-" + std::to_string(getpid()) + "-" + std::to_string(done);
  std::ofstream(name, std::ios::binary)
      .write(reinterpret_cast<const char *>(current.data()),
             static_cast<std::streamsize>(current.size()));
  std::fprintf(stderr, "input: %s\n", name.c_str());
}

extern "C" void on_signal(int number) {
  std::fprintf(stderr, number == SIGALRM ? "ERROR: timeout\n" : "ERROR: abort\n");
  keep_input();
  _exit(77);
}

Bytes read_file(const std::filesystem::path &path) {
  std::ifstream stream(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(stream), {});
}

void run_current(unsigned seconds) {
  alarm(seconds);
  const Bytes exact(current);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  alarm(0);
  ++done;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t *data, std::size_t size, std::size_t most) {
  Bytes changed(data, data + size);
  for (unsigned count = 1 + chance() % 4; count > 0; --count) change(changed);
  size = std::min(changed.size(), most);
  std::copy_n(changed.begin(), size, data);
  return size;
}

int main(int argc, char **argv) {
  std::map<std::string, std::string> options{
      {"runs", "-1"}, {"max_total_time", "0"}, {"seed", "0"}, {"max_len", "4096"}, {"timeout", "30"}};
  std::vector<std::filesystem::path> places;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const std::size_t equals = text.find('=');
    if (text[0] == '-' && equals != std::string::npos) {
      options[text.substr(1, equals - 1)] = text.substr(equals + 1);
    } else {
      places.emplace_back(text);
    }
  }
  LLVMFuzzerInitialize(&argc, &argv);
  prefix = options["artifact_prefix"];
  chance.seed(static_cast<unsigned>(std::stoul(options["seed"])));
  __sanitizer_set_death_callback(keep_input);
  signal(SIGALRM, on_signal);
  signal(SIGABRT, on_signal);
  const auto most = static_cast<std::size_t>(std::stoul(options["max_len"]));
  const auto seconds = static_cast<unsigned>(std::stoul(options["timeout"]));
  const long runs = std::stol(options["runs"]), limit = std::stol(options["max_total_time"]);
  for (const std::filesystem::path &path : places) {
    if (std::filesystem::is_regular_file(path)) seeds.push_back(read_file(path));
    if (!std::filesystem::is_directory(path)) continue;
    std::vector<std::filesystem::path> files;
    for (const auto &entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto &file : files) seeds.push_back(read_file(file));
  }
  if (seeds.empty()) seeds.emplace_back();
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start)
        .count();
  };
  for (const Bytes &seed : seeds) {
    current = seed;
    run_current(seconds);
  }
  while ((runs < 0 || done < static_cast<unsigned long>(runs)) && (limit == 0 || passed() < limit)) {
    current = seeds[below(seeds.size())];
    const std::size_t size = std::min(current.size(), most);
    current.resize(std::max(most, size));
    current.resize(LLVMFuzzerCustomMutator(current.data(), size, most, chance()));
    run_current(seconds);
  }
  std::fprintf(stderr, "stat::number_of_executed_units: %lu\n", done);
  return 0;
}
