// SPDX-License-Identifier: Apache-2.0
// `lab crash`.

import ArgumentParser

struct CrashCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "crash")
}
