// SPDX-License-Identifier: Apache-2.0
// `lab bench`.

import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "bench")
}
