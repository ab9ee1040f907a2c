// SPDX-License-Identifier: Apache-2.0
// How many threads one call should use when nobody says so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace resnet {

#if defined(__linux__)
namespace detail {

inline std::string first_line(const std::string &path) {
  std::ifstream stream(path);
  std::string line;
  std::getline(stream, line);
  return line;
}

/// The CPUs that this process may use, two hyperthreads of one core counting once; 0: unknown.
inline int allowed_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) continue;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    std::string core = first_line(topology + "core_cpus_list");
    if (core.empty()) core = first_line(topology + "thread_siblings_list");  // the older name
    cores.insert(core.empty() ? "cpu " + std::to_string(cpu) : core);
  }
  return static_cast<int>(cores.size());
}

/// The whole cores of the quota of one control group, at least 1; 0: it has none.
inline int quota_of(const std::string &group) {
  std::string text = first_line(group + "/cpu.max");
  if (text.empty()) {
    text = first_line(group + "/cpu.cfs_quota_us") + " " + first_line(group + "/cpu.cfs_period_us");
  }
  std::istringstream words(text);
  double quota = 0, period = 0;
  if (!(words >> quota >> period) || quota <= 0 || period <= 0) return 0;  // "max 100000", -1
  return std::max(1, static_cast<int>(quota / period));
}

/// The smallest CPU quota from this process's control group up to the root; 0: there is none.
inline int allowed_quota() {
  int smallest = 0;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    const std::string listed = "," + names + ",";
    if (!names.empty() && listed.find(",cpu,") == std::string::npos) continue;
    const std::string mounts[] = {names.empty() ? "" : "/" + names,
                                  names.empty() ? "/unified" : "/cpu"};
    for (const std::string &mount : mounts) {
      for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
        const int quota = quota_of("/sys/fs/cgroup" + mount + path);
        if (quota > 0) smallest = smallest == 0 ? quota : std::min(smallest, quota);
        if (path.rfind('/') == std::string::npos) break;
      }
    }
  }
  return smallest;
}

}  // namespace detail

/// Returns the CPUs that this process may use, hyperthreads and all, no more than its quota; 0:
/// unknown.
inline int allowed_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
  const int cpus = CPU_COUNT(&allowed);
  const int quota = detail::allowed_quota();
  return quota == 0 ? cpus : std::min(cpus, quota);
}

/// Returns the physical cores that this process may use, no more than its CPU quota.
inline int default_threads() {
  const int cores = detail::allowed_cores();
  const int quota = detail::allowed_quota();
  return quota == 0 || cores == 0 ? cores : std::min(cores, quota);
}

#else

/// Returns 0: the runtimes then count the physical cores themselves.
inline int default_threads() { return 0; }

inline int allowed_cpus() { return static_cast<int>(std::thread::hardware_concurrency()); }

#endif

}  // namespace resnet
