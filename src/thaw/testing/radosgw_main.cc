// SPDX-License-Identifier: Apache-2.0
//
// thaw-test-radosgw: a Ceph gateway for shell scripts. Prints one line of JSON with its endpoint
// and keys and runs until its standard input ends.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "thaw/testing/radosgw.h"

int main(int argc, char**) {
  if (argc > 1) {
    std::fputs(
        "Usage: thaw-test-radosgw < pipe\n"
        "\n"
        "Starts a Ceph object gateway on loopback, prints {\"endpoint\", \"bucket\", \"region\",\n"
        "\"access_key\", \"secret_key\"} and runs until its standard input ends. Exit code: 0, 3 "
        "if\n"
        "Ceph is not installed, 4 if it does not start.\n",
        stderr);
    return 2;
  }
  const auto gateway = thaw::Radosgw::start();
  if (!gateway) {
    std::fprintf(stderr, "thaw-test-radosgw: %s\n", gateway.error().message.c_str());
    return gateway.error().code == thaw::ErrorCode::kUnsupported ? 3 : 4;
  }
  const thaw::Radosgw& running = **gateway;
  const nlohmann::json hello = {{"endpoint", running.endpoint()},
                                {"bucket", running.bucket()},
                                {"region", running.region()},
                                {"access_key", running.access_key()},
                                {"secret_key", running.secret_key()}};
  std::cout << hello.dump() << std::endl;
  for (std::string ignored; std::getline(std::cin, ignored);) {
  }
  return 0;
}
