// SPDX-License-Identifier: Apache-2.0
// A small HTTP server on 127.0.0.1: worker threads share one classifier.
//
//   server FOLDER [PORT]                            port 0: any that is free; it is printed
//   curl --data-binary @picture.ppm 127.0.0.1:PORT  a binary PPM or PGM in, JSON out
//
// Each request is bounded in size and time, and a bad one is answered and forgotten. After SIGTERM or
// SIGINT all are answered that the system has a connection of; who is still sending has `hurry` to
// end, or `last_call` where no worker had begun to read. For POSIX systems.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "resnet/netpbm.hpp"
#include "resnet/printable.hpp"
#include "resnet_classifier.hpp"

namespace {

constexpr std::size_t max_header = 16 << 10, max_body = 64 << 20, max_waiting = 64;
constexpr std::size_t worker_count = 4, named_classes = 5;
constexpr std::chrono::milliseconds patience{10000}, hurry{3000}, last_call{500};

/// A signal handler may do little else than write into a pipe. Nobody reads the byte: that there is
/// one says to all who look that the server ends.
int wake[2] = {-1, -1};

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0  // where it is missing, SIGPIPE is ignored below
#endif

/// What a client is told instead of an answer.
struct Refused : std::runtime_error {
  Refused(const char *status_line, const std::string &why)
      : std::runtime_error(why), status(status_line) {}
  const char *status;
};

bool ending() {
  pollfd told{wake[0], POLLIN, 0};
  return poll(&told, 1, 0) > 0;
}

class Connection {
 public:
  explicit Connection(int socket)
      : socket_(socket), hurried_(ending()), deadline_(now() + (hurried_ ? last_call : patience)) {}

  /// Reads on for a while: closed beside unread bytes, a socket takes its answer back.
  ~Connection() {
    shutdown(socket_, SHUT_WR);
    const auto end = now() + std::chrono::seconds(1);
    std::array<char, 65536> unread;
    pollfd ready{socket_, POLLIN, 0};
    while (now() < end && poll(&ready, 1, 200) > 0 &&
           recv(socket_, unread.data(), unread.size(), 0) > 0) {
    }
    close(socket_);
  }

  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;

  /// Appends what comes next to `text`. Throws Refused: nothing more comes, or not in time.
  void receive(std::string &text) {
    if (!wait_for(POLLIN, deadline_)) throw Refused("408 Request Timeout", "the request took too long");
    std::array<char, 65536> part;
    const ssize_t got = recv(socket_, part.data(), part.size(), 0);
    if (got <= 0) throw Refused("400 Bad Request", "the request ends too early");
    text.append(part.data(), static_cast<std::size_t>(got));
  }

  void send_all(const std::string &text) {
    Clock::time_point deadline = now() + (hurried_ ? hurry : patience);
    for (std::size_t at = 0; at < text.size();) {
      if (!wait_for(POLLOUT, deadline)) return;
      const ssize_t sent =
          send(socket_, text.data() + at, text.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) return;  // the client has gone
      at += static_cast<std::size_t>(sent);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  static Clock::time_point now() { return Clock::now(); }

  /// Returns whether the socket is ready before the deadline, which comes near as the server ends.
  bool wait_for(short events, Clock::time_point &deadline) {
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now()).count();
      if (left <= 0) return false;
      std::array<pollfd, 2> ready{pollfd{socket_, events, 0},
                                  pollfd{hurried_ ? -1 : wake[0], POLLIN, 0}};
      if (poll(ready.data(), ready.size(), static_cast<int>(left)) < 0) {
        if (errno != EINTR) return false;  // a signal may reach any thread
        continue;
      }
      if (ready[0].revents != 0) return true;
      if (ready[1].revents != 0) {
        hurried_ = true;
        deadline = std::min(deadline, now() + hurry);
      }
    }
  }

  int socket_;
  bool hurried_;
  Clock::time_point deadline_;
};

/// The value of a header in lower case, or "".
std::string header(const std::string &lower, const std::string &name) {
  const std::size_t at = lower.find("\r\n" + name + ":");
  if (at == std::string::npos) return "";
  const std::size_t begin = lower.find_first_not_of(" \t", at + name.size() + 3);
  return lower.substr(begin, lower.find("\r\n", begin) - begin);
}

/// Returns the body of a POST. Throws Refused.
std::string read_body(Connection &client) {
  std::string text;
  std::size_t end;
  while ((end = text.find("\r\n\r\n")) == std::string::npos) {
    if (text.size() > max_header) throw Refused("431 Too Large", "the headers are too long");
    client.receive(text);
  }
  std::string head = text.substr(0, end + 2), body = text.substr(end + 4);
  if (head.rfind("POST ", 0) != 0) throw Refused("405 Method Not Allowed", "POST a picture");
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(c < 128 ? std::tolower(c) : c); });
  const std::string length = header(head, "content-length");
  if (length.empty() || length.size() > 12 ||
      length.find_first_not_of("0123456789") != std::string::npos) {
    throw Refused("411 Length Required", "a Content-Length is needed");
  }
  const auto size = static_cast<std::size_t>(std::stoull(length));
  if (size > max_body) throw Refused("413 Content Too Large", "the picture is too large");
  if (header(head, "expect") == "100-continue") client.send_all("HTTP/1.1 100 Continue\r\n\r\n");
  while (body.size() < size) client.receive(body);
  body.resize(size);
  return body;
}

std::string json(const std::string &text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ') {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      quoted += code;
    } else {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string answer(resnet::Classifier &classifier, const std::string &body) {
  const resnet::OwnedPicture picture = resnet::read_netpbm(body, "the body");
  std::array<resnet::Prediction, named_classes> top;
  const std::size_t found = classifier.classify(picture.view(), top.data(), top.size());
  std::string text = "{\"classes\": [";
  for (std::size_t i = 0; i < found; ++i) {
    char number[32];
    std::snprintf(number, sizeof number, "%.6f", static_cast<double>(top[i].probability));
    text += std::string(i == 0 ? "" : ", ") + "{\"label\": " + json(top[i].label) +
            ", \"index\": " + std::to_string(top[i].index) + ", \"probability\": " + number + "}";
  }
  return text + "], \"runtime\": " + json(classifier.runtime()) + "}";
}

void respond(Connection &client, const std::string &status, const std::string &body) {
  client.send_all("HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\nContent-Length: " +
                  std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body);
}

void serve(resnet::Classifier &classifier, int socket) {
  Connection client(socket);
  const auto refuse = [&client](const char *status, const char *why) {
    respond(client, status, "{\"error\": " + json(why) + "}");
  };
  try {
    respond(client, "200 OK", answer(classifier, read_body(client)));
  } catch (const Refused &error) {
    refuse(error.status, error.what());
  } catch (const resnet::Error &error) {
    const bool theirs = error.code() == resnet::Code::bad_image;
    refuse(theirs ? "400 Bad Request" : "500 Internal Server Error", error.what());
  } catch (const std::exception &error) {
    refuse("500 Internal Server Error", error.what());
  }
}

/// Connections that wait for a worker.
class Queue {
 public:
  /// Returns whether there was room.
  bool put(int socket) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (sockets_.size() >= max_waiting) return false;
    sockets_.push_back(socket);
    changed_.notify_one();
    return true;
  }

  /// Returns the next one, or -1: the queue was closed and is empty.
  int take() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !sockets_.empty(); });
    if (sockets_.empty()) return -1;
    const int socket = sockets_.front();
    sockets_.pop_front();
    return socket;
  }

  void close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<int> sockets_;
  bool closed_ = false;
};

extern "C" void stop(int) {
  const char byte = 0;
  if (write(wake[1], &byte, 1) < 0) std::_Exit(1);
}

int listen_on(int port) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto *any = reinterpret_cast<sockaddr *>(&address);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(listener, any, size) != 0 || listen(listener, 64) != 0 ||
      fcntl(listener, F_SETFL, O_NONBLOCK) != 0 ||
      getsockname(listener, any, &size) != 0) {
    throw std::runtime_error("cannot listen: " + std::string(std::strerror(errno)));
  }
  std::printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return listener;
}

void run(const char *folder, int port) {
  resnet::Classifier classifier(folder);
  if (!classifier.notice().empty()) {
    std::fprintf(stderr, "%s\n", resnet::printable(classifier.notice()).c_str());
  }
  if (pipe(wake) != 0) throw std::runtime_error("there is no pipe");
  std::signal(SIGTERM, stop);
  std::signal(SIGINT, stop);
  std::signal(SIGPIPE, SIG_IGN);
  const int listener = listen_on(port);
  Queue queue;
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < worker_count; ++i) {
    workers.emplace_back([&] {
      for (int socket; (socket = queue.take()) >= 0;) serve(classifier, socket);
    });
  }
  const auto took_one = [&] {
    const int socket = accept(listener, nullptr, nullptr);
    if (socket < 0 || queue.put(socket)) return socket >= 0;
    Connection client(socket);
    respond(client, "503 Service Unavailable", "{\"error\": \"too many requests\"}");
    return true;
  };
  std::array<pollfd, 2> ready{pollfd{listener, POLLIN, 0}, pollfd{wake[0], POLLIN, 0}};
  while (ready[1].revents == 0) {
    if (poll(ready.data(), ready.size(), -1) > 0 && (ready[0].revents & POLLIN) != 0) took_one();
  }
  while (took_one()) {
  }  // closed beside connections that wait for it, a listener resets them
  close(listener);
  queue.close();
  for (std::thread &worker : workers) worker.join();
}

}  // namespace

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3 || argv[1][0] == '-') {
    std::fprintf(stderr, "usage: server FOLDER [PORT]\n");
    return 2;
  }
  const char *text = argc == 3 ? argv[2] : "8080";
  char *end = nullptr;
  const long port = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || port < 0 || port > 65535) {
    std::fprintf(stderr, "error: the port is a number from 0 to 65535, not '%s'\n", text);
    return 2;
  }
  try {
    run(argv[1], static_cast<int>(port));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", resnet::printable(error.what()).c_str());
    return 1;
  }
  return 0;
}
